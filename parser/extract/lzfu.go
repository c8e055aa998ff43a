package extract

import (
	"errors"
	"fmt"
)

// lzfuStart is what the window holds before the first octet ([MS-OXRTFCP]
// section 2.1.2.1).
const lzfuStart = `{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss ` +
	`\fmodern \fscript \fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0` +
	"\r\n" + `\par \pard\plain\f0\fs20\b\i\u\tab\tx`

const (
	lzfuPacked = 0x75465a4c // "LZFu"
	lzfuStored = 0x414c454d // "MELA"
)

// unpackRTF unpacks the body of a message ([MS-OXRTFCP]). With an error it
// returns what came before. The checksum is not looked at: what can be read is
// wanted either way.
func (r *reading) unpackRTF(b []byte) ([]byte, error) {
	if len(b) < 16 {
		return nil, errors.New("ends within its header")
	}
	most := min(r.unpacked, r.lim.Entry)
	switch u32(b, 8) {
	case lzfuStored:
		return b[16:], nil
	case lzfuPacked:
		out, err := lzfu(b[16:], most)
		r.unpacked -= int64(len(out))
		return out, err
	}
	return nil, errors.New("unknown compression")
}

// lzfu unpacks runs of eight tokens behind an octet that tells which of them
// are references into a window of 4096 octets.
func lzfu(b []byte, most int64) (out []byte, err error) {
	var window [4096]byte
	at := copy(window[:], lzfuStart)
	put := func(c byte) {
		window[at] = c
		at = (at + 1) % len(window)
		out = append(out, c)
	}
	for len(b) > 0 {
		flags := b[0]
		b = b[1:]
		for bit := 0; bit < 8 && len(b) > 0; bit++ {
			if int64(len(out)) > most-18 {
				return out, fmt.Errorf("unpacks to too much: %w", errLimit)
			}
			if flags>>bit&1 == 0 {
				put(b[0])
				b = b[1:]
				continue
			}
			if len(b) < 2 {
				return out, errors.New("ends early")
			}
			ref := int(b[0])<<8 | int(b[1])
			b = b[2:]
			from := ref >> 4
			if from == at {
				return out, nil
			}
			for i := range ref&15 + 2 {
				put(window[(from+i)%len(window)])
			}
		}
	}
	return out, nil
}
