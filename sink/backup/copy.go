package backup

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"syscall"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

// copySize is how many octets are read at once.
const copySize = 1 << 20

// A copier copies files with one buffer.
type copier struct {
	buf  []byte
	done func(octets int) // told of what was copied; may be nil
}

func newCopier(done func(int)) *copier { return &copier{buf: make([]byte, copySize), done: done} }

// all writes n octets of r to w and to h, or all there are if n is negative. It
// is mail.Corrupt if r ends before.
func (c *copier) all(ctx context.Context, w io.Writer, h hash.Hash, r io.Reader, n int64) (int64, error) {
	var total int64
	for n < 0 || total < n {
		if err := ctx.Err(); err != nil {
			return total, err
		}
		b := c.buf
		if n >= 0 {
			b = b[:min(int64(len(b)), n-total)]
		}
		m, err := io.ReadFull(r, b)
		total += int64(m)
		h.Write(b[:m])
		if _, werr := w.Write(b[:m]); werr != nil {
			return total, werr
		}
		if c.done != nil {
			c.done(m)
		}
		switch {
		case err == nil:
		case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
			return total, err
		case n >= 0 && total < n:
			return total, mail.Errorf(mail.Corrupt, "the file ends after %d of %d octets", total, n)
		default:
			return total, nil
		}
	}
	return total, nil
}

// digest hashes a file, or its first n octets.
func (c *copier) digest(ctx context.Context, fsys durable.FS, name string, n int64) (d mail.Digest, size int64, err error) {
	f, err := fsys.Open(name)
	if err != nil {
		return d, 0, err
	}
	h := sha256.New()
	size, err = c.all(ctx, io.Discard, h, f, n)
	h.Sum(d[:0])
	return d, size, errors.Join(err, f.Close())
}

// classify gives an error of the file system the kind that its reader needs.
func classify(err error) error {
	switch {
	case err == nil || mail.KindOf(err) != mail.Other || errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return mail.WithHint(mail.Errorf(mail.NoSpace, "%w", err), "Free some space and run the command again: it goes on with what is there.")
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return mail.Errorf(mail.Denied, "%w", err)
	case errors.Is(err, fs.ErrNotExist):
		return mail.Errorf(mail.NotFound, "%w", err)
	}
	return mail.Errorf(mail.Temporary, "%w", err)
}

// wrap classifies and says what was being done.
func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, classify(err))
}

// digestOf hashes the first n octets of what r has.
func (c *copier) digestOf(ctx context.Context, r io.Reader, n int64) (d mail.Digest, err error) {
	h := sha256.New()
	_, err = c.all(ctx, io.Discard, h, r, n)
	h.Sum(d[:0])
	return d, err
}
