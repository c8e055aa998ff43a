package parser

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"io"
	"math/bits"
)

// quick reads the body of n if it is in memory as a whole and nothing about its
// encoding is unusual, and returns its first want octets, which are valid until
// the next leaf is read. It gives what go-message gives for the same octets, in
// a quarter of the time; whatever is out of the ordinary is left to strict.
func (p *parse) quick(n *node, want int) (octets []byte, ok bool) {
	if !p.w.whole() {
		return p.quickStream(n, want)
	}
	body := p.w.buf[n.offBody:n.end]
	switch {
	case identity(n.encoding):
		octets = body
	case n.encoding == "base64":
		buf := p.buffer(base64.StdEncoding.DecodedLen(len(body)))
		k, err := base64.StdEncoding.Decode(buf, body)
		if err != nil {
			return nil, false
		}
		octets = buf[:k]
	case n.encoding == "quoted-printable":
		if octets, ok = quickQP(p.buffer(len(body))[:0], body); !ok {
			return nil, false
		}
	default:
		return nil, false
	}
	n.size, n.digest = int64(len(octets)), sha256.Sum256(octets)
	return octets[:min(want, len(octets))], true
}

const streamBlock = 96 << 10 // octets read at once of a body that is not in memory

// quickStream is quick for base64 that is read block by block.
func (p *parse) quickStream(n *node, want int) (octets []byte, ok bool) {
	if n.encoding != "base64" {
		return nil, false
	}
	k := &leafSink{hash: sha256.New(), want: want}
	body := p.w.section(n.offBody, n.end-n.offBody)
	raw := p.buffer(2 * streamBlock)[:streamBlock]
	text := p.scratch[streamBlock:streamBlock]
	padded := false
	for {
		got, err := io.ReadFull(body, raw)
		text = appendUnbroken(text, raw[:got])
		whole := len(text) &^ 3
		if whole > 0 {
			size, bad := base64.StdEncoding.Decode(raw, text[:whole]) // raw has been copied
			if bad != nil || padded {
				return nil, false
			}
			padded = text[whole-1] == '='
			k.Write(raw[:size])
			text = append(text[:0], text[whole:]...)
		}
		if err != nil {
			ok = p.w.err == nil && len(text) == 0
			break
		}
	}
	n.size = k.size
	k.hash.Sum(n.digest[:0])
	return k.head, ok
}

// appendUnbroken appends lines without their ends.
func appendUnbroken(dst, b []byte) []byte {
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			i = len(b) - 1
		}
		line := b[:i+1]
		b = b[i+1:]
		dst = append(dst, trimEnd(line)...)
	}
	return dst
}

// trimEnd takes CR and LF off the end of a line.
func trimEnd(line []byte) []byte {
	n := len(line)
	for n > 0 && (line[n-1] == '\n' || line[n-1] == '\r') {
		n--
	}
	return line[:n]
}

// buffer returns n octets that the leaves of a message share.
func (p *parse) buffer(n int) []byte {
	if cap(p.scratch) < n {
		p.scratch = make([]byte, n)
	}
	return p.scratch[:n]
}

const maxQuickLine = 4000 // octets of a line of quoted-printable; mime/quotedprintable refuses longer ones

// quickQP appends what a sound quoted-printable body stands for, or says that it
// is not sound.
func quickQP(dst, body []byte) ([]byte, bool) {
	for len(body) > 0 {
		end := bytes.IndexByte(body, '\n') + 1
		if end == 0 {
			end = len(body)
		}
		if end > maxQuickLine {
			return nil, false
		}
		whole := body[:end]
		body = body[end:]
		line := trimLine(whole)
		rest := whole[len(line):]
		soft := len(line) > 0 && line[len(line)-1] == '='
		if soft {
			if line = line[:len(line)-1]; !softEnd(rest, line) {
				return nil, false
			}
		}
		var ok bool
		if dst, ok = quickQPLine(dst, line); !ok {
			return nil, false
		}
		switch {
		case soft || len(rest) == 0 || rest[len(rest)-1] != '\n':
		case len(rest) >= 2 && rest[len(rest)-2] == '\r':
			dst = append(dst, '\r', '\n')
		default:
			dst = append(dst, '\n')
		}
	}
	return dst, true
}

// softEnd reports whether a soft line break is one: only a line end, or the end
// of the body, follows its "=".
func softEnd(rest, line []byte) bool {
	return bytes.HasPrefix(rest, []byte("\r\n")) || bytes.HasPrefix(rest, []byte("\n")) || len(rest) == 0 && len(line) > 0
}

// trimLine takes the white space off the end of a line.
func trimLine(line []byte) []byte {
	n := len(line)
	for n > 0 && (line[n-1] == ' ' || line[n-1] == '\t' || line[n-1] == '\r' || line[n-1] == '\n') {
		n--
	}
	return line[:n]
}

func quickQPLine(dst, line []byte) ([]byte, bool) {
	for i := 0; i < len(line); {
		j := i + qpRun(line[i:])
		dst = append(dst, line[i:j]...)
		if j == len(line) {
			break
		}
		if line[j] != '=' || j+2 >= len(line) || !isHex(line[j+1]) || !isHex(line[j+2]) {
			return nil, false
		}
		dst = append(dst, unhex(line[j+1])<<4|unhex(line[j+2]))
		i = j + 3
	}
	return dst, true
}

// qpRun returns how many octets at the start of b stand for themselves: all but
// "=" and the control characters that are not a tab. Those above 127 do not belong
// in quoted-printable, but its decoders let them pass. It looks at eight at once;
// a borrow can only set places of the mask behind one that is set, and the first
// counts.
func qpRun(b []byte) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	n := 0
	for n+8 <= len(b) {
		x := binary.LittleEndian.Uint64(b[n:])
		equal, del := x^'='*ones, x^0x7f*ones
		mask := ((x-' '*ones)&^x | (equal-ones)&^equal | (del-ones)&^del) & highs
		if mask == 0 {
			n += 8
			continue
		}
		if n += bits.TrailingZeros64(mask) / 8; b[n] != '\t' {
			return n
		}
		n++
	}
	for n < len(b) && (b[n] == '\t' || b[n] >= ' ' && b[n] != '=' && b[n] != 0x7f) {
		n++
	}
	return n
}
