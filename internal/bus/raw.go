package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

const (
	serviceRaw = "raw"
	rangeSize  = 512 << 10
	openRaws   = 8 // messages that the service keeps open between requests
	rawIdle    = 10 * time.Second
)

// A rawRequest asks for Len octets at Off; with Len 0 for the size.
type rawRequest struct {
	ID  mail.ID `json:"id"`
	Off int64   `json:"off"`
	Len int     `json:"len"`
}

// Raw opens the raw bytes of a sealed message, wherever its partition is
// served; each read is a request for at most 512 KiB. ctx bounds the reads too.
// Errors: mail.NotFound, mail.Corrupt, mail.Temporary if no archive answers.
func (b *Bus) Raw(ctx context.Context, id mail.ID) (mail.Raw, error) {
	text, err := b.rawRange(ctx, rawRequest{ID: id})
	if err != nil {
		return nil, err
	}
	r := &remoteRaw{bus: b, ctx: ctx, id: id}
	if err := json.Unmarshal(text, &r.size); err != nil || r.size < 0 {
		return nil, mail.Errorf(mail.Temporary, "the archive's answer is not a size")
	}
	return r, nil
}

func (b *Bus) rawRange(ctx context.Context, q rawRequest) ([]byte, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil, fmt.Errorf("encode the request: %w", err)
	}
	return b.request(ctx, serviceRaw, q.ID.Partition, body)
}

// A remoteRaw is a mail.Raw in another process.
type remoteRaw struct {
	bus  *Bus
	ctx  context.Context // of Bus.Raw: io.ReaderAt has none
	id   mail.ID
	size int64
}

// Size returns the number of octets.
func (r *remoteRaw) Size() int64 { return r.size }

// Close does nothing: the other process closes by itself.
func (r *remoteRaw) Close() error { return nil }

// ReadAt implements io.ReaderAt.
func (r *remoteRaw) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, mail.Errorf(mail.Invalid, "read at offset %d", off)
	}
	for n < len(p) {
		want := int(min(int64(len(p)-n), rangeSize, r.size-off))
		if want <= 0 {
			return n, io.EOF
		}
		text, err := r.bus.rawRange(r.ctx, rawRequest{ID: r.id, Off: off, Len: want})
		if err != nil {
			return n, err
		}
		if len(text) != want {
			return n, mail.Errorf(mail.Temporary, "the archive sent %d octets of %d", len(text), want)
		}
		n += copy(p[n:], text)
		off += int64(want)
	}
	return n, nil
}

// ServeRaw answers requests for raw bytes of a partition with what f opens. A
// message stays open for a few seconds, so that f is called once for a run of
// requests. stop ends the service and closes what is open.
func (b *Bus) ServeRaw(ctx context.Context, partition uint16, f func(ctx context.Context, id mail.ID) (mail.Raw, error)) (stop func(), err error) {
	s := &rawService{open: f, entries: map[mail.ID]*rawEntry{}}
	end, err := b.serve(ctx, serviceRaw, partition, s.handle)
	if err != nil {
		return nil, err
	}
	return func() { end(); s.closeAll() }, nil
}

type rawService struct {
	open func(context.Context, mail.ID) (mail.Raw, error)

	// mu guards the messages that are open.
	mu      sync.Mutex
	entries map[mail.ID]*rawEntry
	sweep   *time.Timer // set while entries is not empty
}

// A rawEntry is an open message; users reads are under way in it.
type rawEntry struct {
	raw   mail.Raw
	users int
	used  time.Time
}

func (s *rawService) handle(ctx context.Context, body []byte) ([]byte, error) {
	var q rawRequest
	if err := json.Unmarshal(body, &q); err != nil || q.Off < 0 || q.Len < 0 || q.Len > rangeSize {
		return nil, mail.Errorf(mail.Invalid, "unreadable request for raw bytes")
	}
	e, err := s.acquire(ctx, q.ID)
	if err != nil {
		return nil, err
	}
	defer s.release(e)
	if q.Len == 0 {
		return json.Marshal(e.raw.Size())
	}
	p := make([]byte, q.Len)
	n, err := e.raw.ReadAt(p, q.Off)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return p[:n], nil
}

func (s *rawService) acquire(ctx context.Context, id mail.ID) (*rawEntry, error) {
	if e := s.cached(id); e != nil {
		return e, nil
	}
	raw, err := s.open(ctx, id)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := &rawEntry{raw: raw, users: 1, used: time.Now()}
	if s.entries[id] != nil {
		return e, nil // opened twice at once: this one is closed after its use
	}
	s.evict(openRaws-1, time.Time{})
	if len(s.entries) < openRaws {
		s.entries[id] = e
		e.users++ // the cache's own
		if s.sweep == nil {
			s.sweep = time.AfterFunc(rawIdle, s.closeIdle)
		}
	}
	return e, nil
}

func (s *rawService) cached(id mail.ID) *rawEntry {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[id]
	if e != nil {
		e.users++
		e.used = time.Now()
	}
	return e
}

func (s *rawService) release(e *rawEntry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.drop()
}

func (e *rawEntry) drop() {
	if e.users--; e.users == 0 {
		e.raw.Close() //nolint:errcheck // only read from
	}
}

// evict takes entries out of the cache, the longest unused first, until n are
// left and none was last used before the given time.
func (s *rawService) evict(n int, before time.Time) {
	for len(s.entries) > 0 {
		var oldest mail.ID
		var found *rawEntry
		for id, e := range s.entries {
			if found == nil || e.used.Before(found.used) {
				oldest, found = id, e
			}
		}
		if len(s.entries) <= n && !found.used.Before(before) {
			return
		}
		delete(s.entries, oldest)
		found.drop()
	}
}

func (s *rawService) closeIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.evict(openRaws, time.Now().Add(-rawIdle))
	s.sweep = nil
	if len(s.entries) > 0 {
		s.sweep = time.AfterFunc(rawIdle, s.closeIdle)
	}
}

func (s *rawService) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sweep != nil {
		s.sweep.Stop()
	}
	s.evict(0, time.Time{})
}
