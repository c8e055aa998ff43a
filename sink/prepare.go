package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// prepare takes items off the queue until it is closed, makes them ready for
// the committer, and refuses those that cannot be. Once ctx is done it gives
// back what it takes.
func (s *Sink) prepare(ctx context.Context) {
	for it := range s.queue {
		err := stopping()
		if ctx.Err() == nil {
			err = s.ready(ctx, it)
		}
		if err != nil {
			s.coming.Add(-1)
			s.refuse(it, err)
			continue
		}
		s.prepared <- it // never blocks: it has room for all that the queue had
	}
}

// readTimeout bounds one pass over the bytes of a message, for which a preparer
// or, in the second pass over a large one, the whole sink waits: half a minute,
// and more for what comes no faster than 1 MiB/s.
func readTimeout(size int64) time.Duration {
	return 30*time.Second + time.Duration(size>>20)*time.Second
}

// ready verifies the bytes of the item and makes its entry. The error is the
// one for its Ack.
func (s *Sink) ready(ctx context.Context, it *item) (err error) {
	if it.event != nil {
		if it.entry, err = s.o.Log.Maker().Event(*it.event); err != nil {
			return about(err)
		}
		return nil
	}
	_, known, err := s.o.Catalog.Message(it.in.Delivery.Digest)
	known = known && err == nil
	switch b := it.in.Bytes; {
	case known:
		// A reference will do: spare the compression, not the verification.
		return s.verifyIn(ctx, it)
	case it.large() && b != nil:
		// It cannot break off, and is verified when it is sealed.
		s.classify(it, b[:min(len(b), maxHead)])
		return nil
	case it.large():
		// The bytes are read again when they are sealed. Verifying them before
		// keeps a broken transfer out of the ledger, where what was written of
		// it would stay as an abandoned group.
		return s.verifyIn(ctx, it)
	}
	raw, err := load(ctx, it.in)
	if err != nil {
		return err
	}
	s.classify(it, raw[:min(len(raw), maxHead)])
	if it.entry, err = s.o.Log.Maker().Message(it.in.Delivery, raw); err != nil {
		return about(err)
	}
	return nil
}

// load reads the bytes of a message into memory. It returns one octet more than
// announced if there are more; what they are worth the fingerprint decides.
func load(ctx context.Context, in Inbound) ([]byte, error) {
	if in.Bytes != nil {
		return in.Bytes, nil
	}
	reading, cancel := context.WithTimeout(ctx, readTimeout(in.Delivery.Size))
	defer cancel()
	rc, err := in.Raw(reading)
	if err != nil {
		return nil, unread(ctx, err)
	}
	defer rc.Close() // the bytes are verified; how their source closes tells nothing
	raw := make([]byte, in.Delivery.Size+1)
	n, err := io.ReadFull(rc, raw)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, unread(ctx, err)
	}
	if int64(n) != in.Delivery.Size {
		return nil, mismatch(in, fmt.Sprintf("%d octets or more", n))
	}
	return raw[:n], nil
}

// maxHead is how much of a message its class may depend on.
const maxHead = 64 << 10

// classify gives the delivery its class. What it brings along is nobody's word.
func (s *Sink) classify(it *item, header []byte) {
	it.in.Delivery.Class = mail.Class{}
	if s.o.Class != nil {
		it.in.Delivery.Class = s.o.Class(it.in.Delivery, header)
	}
}

// verifyIn verifies the bytes of the item, and gives its delivery a class.
func (s *Sink) verifyIn(ctx context.Context, it *item) error {
	var begin start
	if s.o.Class != nil {
		begin.most = maxHead
	}
	if err := verify(ctx, it.in, &begin); err != nil {
		return err
	}
	s.classify(it, begin.b)
	return nil
}

// A start keeps the first octets that are written to it, and no more than most.
type start struct {
	b    []byte
	most int
}

// Write implements io.Writer; it never fails.
func (k *start) Write(p []byte) (int, error) {
	k.b = append(k.b, p[:min(len(p), k.most-len(k.b))]...)
	return len(p), nil
}

// verify reads the bytes of a message and compares them with its fingerprint. They
// are written to also.
func verify(ctx context.Context, in Inbound, also io.Writer) error {
	reading, cancel := context.WithTimeout(ctx, readTimeout(in.Delivery.Size))
	defer cancel()
	rc, err := in.Raw(reading)
	if err != nil {
		return unread(ctx, err)
	}
	defer rc.Close() // as in load
	f := mail.NewFingerprinter()
	if _, err := io.Copy(io.MultiWriter(f, also), io.LimitReader(rc, in.Delivery.Size+1)); err != nil {
		return unread(ctx, err)
	}
	if got := f.Sum(); got != in.Delivery.Fingerprint {
		return mismatch(in, got.String())
	}
	return nil
}

// unread is the error for bytes that could not be read.
func unread(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return stopping()
	}
	return about(fmt.Errorf("read the message: %w", err))
}

func mismatch(in Inbound, got string) error {
	return mail.Errorf(mail.Corrupt, "the bytes of %s do not match their fingerprint: they are %s", in.Delivery.Fingerprint, got)
}

// A second is the reader of a large message's second pass. It opens the bytes
// when the ledger asks for the first of them, so that nothing is opened for a
// message that turns out to be a duplicate.
type second struct {
	open func() (io.ReadCloser, error)
	rc   io.ReadCloser
	err  error // of reading, other than io.EOF
}

// Read implements io.Reader.
func (r *second) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.rc == nil {
		if r.rc, r.err = r.open(); r.err != nil {
			return 0, r.err
		}
	}
	n, err := r.rc.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

func (r *second) close() {
	if r.rc != nil {
		_ = r.rc.Close() // as in load
	}
}
