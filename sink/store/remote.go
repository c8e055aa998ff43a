package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

// How much of an object is fetched at once: one block where somebody looks for a
// record, more and more where they read on.
const (
	blockSize = 256 << 10
	mostAhead = 4 * blockSize
)

// A remote is an object that is read like a file.
type remote struct {
	store Store
	info  fileInfo
	ctx   context.Context
	end   context.CancelFunc

	mu    sync.Mutex
	off   int64   // of Read
	spans [2]span // fetched last, and before that
	ahead int64   // octets to fetch next, if it is where the last span ends
}

var _ durable.File = (*remote)(nil)

// A span is a run of octets of the object.
type span struct {
	at   int64
	data []byte
}

func (s span) end() int64 { return s.at + int64(len(s.data)) }

// openRemote does not speak to the store yet. Close breaks off what is being read.
func openRemote(s Store, info fileInfo) *remote {
	ctx, end := context.WithCancel(context.Background())
	return &remote{store: s, info: info, ctx: ctx, end: end}
}

// ReadAt implements durable.File. What the store gives is not compared with
// anything here: the ledger compares each record with its hashes.
func (r *remote) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("read %s: negative offset", r.info.name)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() != nil {
		return 0, &fs.PathError{Op: "read", Path: r.info.name, Err: fs.ErrClosed}
	}
	for n < len(p) {
		at := off + int64(n)
		if at >= r.info.Size() {
			return n, io.EOF
		}
		s, err := r.span(at)
		if err != nil {
			return n, err
		}
		n += copy(p[n:], s.data[at-s.at:])
	}
	return n, nil
}

// span returns octets that include the one at off. Called with mu held.
func (r *remote) span(off int64) (span, error) {
	for _, s := range r.spans {
		if off >= s.at && off < s.end() {
			return s, nil
		}
	}
	if len(r.spans[0].data) > 0 && off == r.spans[0].end() {
		r.ahead = min(2*r.ahead, mostAhead)
	} else {
		r.ahead = blockSize
	}
	at := off / blockSize * blockSize
	data, err := r.fetch(at, min(r.ahead, r.info.Size()-at))
	if err != nil {
		return span{}, err
	}
	r.spans[1], r.spans[0] = r.spans[0], span{at, data}
	return r.spans[0], nil
}

func (r *remote) fetch(at, n int64) ([]byte, error) {
	ref := r.info.note.Ref
	body, err := r.store.GetRange(r.ctx, ref, at, n)
	if mail.KindOf(err) == mail.NotFound {
		return nil, r.gone(err)
	}
	if err != nil {
		return nil, err
	}
	data := make([]byte, n)
	_, err = io.ReadFull(body, data)
	err = errors.Join(err, body.Close())
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		// That an object has become shorter, and that a connection has ended, look the
		// same from here: asking again tells.
		return nil, mail.Errorf(mail.Temporary, "%s in %s gave fewer than %d octets from %d on", ref, r.store, n, at)
	case err != nil:
		return nil, err
	}
	return data, nil
}

// gone is the error of a segment that is not where its note says: for those who
// look for a record this is damage, and not a record that never was.
func (r *remote) gone(err error) error {
	return mail.WithHint(mail.Errorf(mail.Corrupt, "segment %s: %w", r.info.name, err),
		"The segment was removed from the store, or store points at another place. Correct the configuration, or put the file back from a backup.")
}

// Read implements durable.File.
func (r *remote) Read(p []byte) (int, error) {
	r.mu.Lock()
	off := r.off
	r.mu.Unlock()
	n, err := r.ReadAt(p, off)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	r.mu.Lock()
	r.off = off + int64(n)
	r.mu.Unlock()
	return n, err
}

// Write implements durable.File and fails: sealed segments never change.
func (r *remote) Write([]byte) (int, error) { return 0, r.readOnly() }

// WriteAt implements durable.File and fails.
func (r *remote) WriteAt([]byte, int64) (int, error) { return 0, r.readOnly() }

// Sync implements durable.File and fails.
func (r *remote) Sync() error { return r.readOnly() }

func (r *remote) readOnly() error {
	return &fs.PathError{Op: "write", Path: r.info.name, Err: fs.ErrPermission}
}

// Stat implements durable.File.
func (r *remote) Stat() (fs.FileInfo, error) { return r.info, nil }

// Close implements durable.File.
func (r *remote) Close() error {
	r.end()
	return nil
}
