package ledger

import (
	"errors"
	"fmt"
	"io"

	"github.com/mailkeep/mailkeep/mail"
)

// addLarge streams a message into as many records as it needs. The last one,
// which alone makes the group visible, is written only once the whole message
// matches its delivery; without it the others are abandoned.
func (l *Ledger) addLarge(e *Entry, flags uint8) (Sealed, error) {
	note, err := meta{Delivery: e.delivery}.encode()
	if err != nil {
		return Sealed{Err: err}, nil
	}
	c := chunks{r: e.large, delivery: e.delivery, sum: mail.NewFingerprinter()}
	for i := uint32(0); ; i++ {
		data, last, err := c.next()
		if err != nil {
			return Sealed{Err: err}, nil
		}
		h, err := l.addChunk(e.delivery, i, last, note, data, flags)
		if err != nil {
			return Sealed{}, err
		}
		if last {
			return l.sealed(&h), nil
		}
		flags, note = 0, nil // further chunks have no metadata
	}
}

func (l *Ledger) addChunk(d mail.Delivery, i uint32, last bool, note, data []byte, flags uint8) (header, error) {
	typ := typeMessage
	if i == 0 {
		flags |= flagFirst
	} else {
		typ = typeChunk
	}
	e := l.Maker().entry(typ, note, data)
	if e.digest, e.size = mail.DigestOf(data), uint64(len(data)); last {
		flags |= flagLast
		e.digest, e.size = d.Digest, uint64(d.Size)
	}
	h := e.header(flags)
	h.chunk = i
	return l.seg.add(&l.chain, e, h, l.opts.Now)
}

// chunks cuts a message that is read once. It reads one chunk ahead to know
// the last one.
type chunks struct {
	r        io.Reader
	delivery mail.Delivery
	sum      *mail.Fingerprinter
	ahead    []byte
	begun    bool
	size     int64
}

// next returns the next chunk, valid until the call after the next. The last
// one is returned only if the whole message matches the delivery.
func (c *chunks) next() (data []byte, last bool, err error) {
	if !c.begun {
		c.begun = true
		if c.ahead, err = c.read(); err != nil {
			return nil, false, err
		}
	}
	data = c.ahead
	if len(data) == ChunkSize {
		if c.ahead, err = c.read(); err != nil {
			return nil, false, err
		}
	} else {
		c.ahead = nil
	}
	if last = len(c.ahead) == 0; last {
		err = matches(c.delivery, c.sum.Sum())
	}
	return data, last, err
}

// read reads a chunk, short at the end of the message only.
func (c *chunks) read() ([]byte, error) {
	left := max(c.delivery.Size-c.size, 0)
	buf := make([]byte, min(left+1, ChunkSize)) // one more shows a message that is too long
	n, err := io.ReadFull(c.r, buf)
	c.size += int64(n)
	c.sum.Write(buf[:n])
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return buf[:n], nil
	case err != nil:
		return nil, fmt.Errorf("read message: %w", err)
	case c.size > c.delivery.Size:
		return nil, mail.Errorf(mail.Corrupt, "message is longer than the %d octets of its delivery", c.delivery.Size)
	}
	return buf[:n], nil
}
