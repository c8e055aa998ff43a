package mail

import (
	"crypto/sha256"
	"hash"
)

// A Fingerprinter takes the Fingerprint of a message that is written to it in
// pieces of any size. The zero value is ready for use.
type Fingerprinter struct {
	all, header hash.Hash
	size        int64
	state       headerState
}

// headerState is how much of the CR LF CR LF that ends a header was seen last.
type headerState uint8

const (
	lineStart headerState = iota // behind CR LF, or at the very start
	inLine
	afterCR
	emptyCR // CR at the start of a line: held back from the header's hash
	inBody
)

// Write adds p to the message. It never fails.
func (f *Fingerprinter) Write(p []byte) (int, error) {
	if f.all == nil {
		f.all, f.header = sha256.New(), sha256.New()
	}
	f.all.Write(p)
	f.size += int64(len(p))
	f.writeHeader(p)
	return len(p), nil
}

func (f *Fingerprinter) writeHeader(p []byte) {
	start := 0 // of the run that belongs to the header and is not hashed yet
	for i, c := range p {
		switch f.state {
		case inBody:
			return
		case lineStart:
			if c == '\r' {
				f.header.Write(p[start:i])
				f.state, start = emptyCR, i+1
				continue
			}
			f.state = inLine
		case emptyCR:
			if c == '\n' {
				f.state = inBody
				return
			}
			f.header.Write([]byte{'\r'})
			f.state = inLine
			if c == '\r' {
				f.state = afterCR
			}
		case afterCR:
			f.state = inLine
			if c == '\n' {
				f.state = lineStart
			} else if c == '\r' {
				f.state = afterCR
			}
		case inLine:
			if c == '\r' {
				f.state = afterCR
			}
		}
	}
	f.header.Write(p[start:])
}

// Sum returns the fingerprint of what was written. It ends the message: Write
// must not be called after it.
func (f *Fingerprinter) Sum() Fingerprint {
	if f.all == nil {
		f.all, f.header = sha256.New(), sha256.New()
	}
	if f.state == emptyCR {
		f.header.Write([]byte{'\r'})
		f.state = inBody
	}
	out := Fingerprint{Size: f.size}
	f.all.Sum(out.Digest[:0])
	f.header.Sum(out.Header[:0])
	return out
}

// FingerprintOf returns the fingerprint of a whole message.
func FingerprintOf(raw []byte) Fingerprint {
	var f Fingerprinter
	f.Write(raw)
	return f.Sum()
}
