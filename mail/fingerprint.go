package mail

import (
	"bytes"
	"crypto/sha256"
	"hash"
)

// A Fingerprinter computes the Fingerprint of the bytes written to it, in one
// pass and constant memory. The zero value is not usable; see NewFingerprinter.
//
// It is the one definition of where a header ends: at the first line that is
// empty, where a line ends with LF, the CR before it counting to the line end.
// Bytes without an empty line are header as a whole.
type Fingerprinter struct {
	all, header hash.Hash
	size        int64

	inBody  bool // the empty line was seen
	midLine bool // the last octet of the header was not LF
	heldCR  bool // a CR at the start of a line, which LF would make the empty line
}

// NewFingerprinter returns a Fingerprinter that has seen no bytes.
func NewFingerprinter() *Fingerprinter {
	return &Fingerprinter{all: sha256.New(), header: sha256.New()}
}

// FingerprintOf returns the fingerprint of b.
func FingerprintOf(b []byte) Fingerprint {
	f := NewFingerprinter()
	f.Write(b)
	return f.Sum()
}

// Write takes the next bytes; it never fails.
func (f *Fingerprinter) Write(p []byte) (int, error) {
	f.all.Write(p)
	f.size += int64(len(p))
	for rest := p; len(rest) > 0 && !f.inBody; {
		rest = f.line(rest)
	}
	return len(p), nil
}

// line takes what p holds of one header line and returns what follows it.
func (f *Fingerprinter) line(p []byte) []byte {
	if !f.midLine {
		switch {
		case p[0] == '\n':
			f.inBody, f.heldCR = true, false
			return nil
		case p[0] == '\r' && !f.heldCR:
			f.heldCR = true
			return p[1:]
		}
		f.release()
	}
	end := bytes.IndexByte(p, '\n') + 1
	f.midLine = end == 0
	if f.midLine {
		end = len(p)
	}
	f.header.Write(p[:end])
	return p[end:]
}

// release counts a CR that turned out not to belong to the empty line.
func (f *Fingerprinter) release() {
	if f.heldCR {
		f.header.Write([]byte{'\r'})
		f.heldCR = false
	}
}

// Sum returns the fingerprint of all bytes written; nothing may be written
// after it.
func (f *Fingerprinter) Sum() Fingerprint {
	f.release()
	fp := Fingerprint{Size: f.size}
	f.all.Sum(fp.Digest[:0])
	f.header.Sum(fp.Header[:0])
	return fp
}
