package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

const (
	// shelfLease is how long a lock is held after it was written last, by the store's
	// clock.
	shelfLease = 10 * time.Minute
	// shelfBeat is how often who holds a lock writes it again.
	shelfBeat = 2 * time.Minute
	// shelfTrust is after how long without that its holder no longer rests on it. What
	// it does in that moment has as long again to come to an end.
	shelfTrust = shelfLease / 2
	// maxHolder bounds the object of a lock, in octets.
	maxHolder = 2048
)

// A holder is what the object of a lock says, NAME/TOKEN in the store.
type holder struct {
	Process int       `json:"process"`
	Host    string    `json:"host"`
	Since   time.Time `json:"since"`
	Beat    time.Time `json:"beat"` // when it was written last, by the holder's clock
	// Started and Space tell a process from another that has its number: when it
	// was started, and among the processes of which system. Empty: not known.
	Started string `json:"started,omitempty"`
	Space   string `json:"space,omitempty"`
}

func (h holder) String() string {
	return fmt.Sprintf("held by process %d on %s since %s", h.Process, h.Host, h.Since.Format(time.RFC3339))
}

// A shelfLock is an object of a name of its own, so that nobody ever writes over the
// lock of another. Who wants to hold it writes first and then looks who else has:
// of two at the same moment at least one sees the other, and gives up. A lock ends
// with its lease, or at once where its process is seen to be gone.
type shelfLock struct {
	shelf  *Shelf
	name   string
	holder holder
	stop   context.CancelFunc
	beats  sync.WaitGroup

	mu   sync.Mutex
	beat time.Time // when what was written last was begun to be written
}

// Lock implements durable.FS by an object that says who holds it, for as long as it
// is written again and again. While a lock is held, but not renewed in time, what
// changes the shelf is mail.InUse.
func (s *Shelf) Lock(name string) (io.Closer, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "a host without a name"
	}
	l := &shelfLock{shelf: s, name: name + "/" + rand.Text(), holder: holder{Process: os.Getpid(), Host: host, Since: time.Now().UTC().Truncate(time.Second)}}
	l.holder.Started, l.holder.Space = processStart(l.holder.Process), processSpace()
	ctx := context.Background()
	if err := l.take(ctx, name); err != nil {
		return nil, err
	}
	ctx, l.stop = context.WithCancel(ctx)
	l.beats.Go(func() { l.keep(ctx) })
	s.mu.Lock()
	s.lock = l
	s.mu.Unlock()
	return l, nil
}

func (l *shelfLock) take(ctx context.Context, name string) error {
	l.beat = time.Now()
	text := l.text(l.beat)
	_, err := l.shelf.store.PutIfAbsent(ctx, l.shelf.prefix+l.name, Content{ReaderAt: bytes.NewReader(text), Size: int64(len(text)), Sum: mail.DigestOf(text)}, Retention{})
	if err != nil {
		return err
	}
	if err := l.alone(ctx, name); err != nil {
		return errors.Join(err, l.remove())
	}
	return nil
}

func (l *shelfLock) text(beat time.Time) []byte {
	h := l.holder
	h.Beat = beat.UTC()
	b, err := json.Marshal(h)
	if err != nil {
		panic(err) // numbers, times and text
	}
	return append(b, '\n')
}

// alone returns nil if nobody else holds the lock, and removes what others left. All
// ages are by the store's clock, which also dates our own lock.
func (l *shelfLock) alone(ctx context.Context, name string) error {
	stored := map[string]time.Time{}
	for o, err := range l.shelf.store.List(ctx, l.shelf.prefix+name) {
		if err != nil {
			return err
		}
		rest := strings.TrimPrefix(o.Name, l.shelf.prefix+name)
		if rest != "" && rest[0] != '/' {
			continue // another name
		}
		if o.Stored.After(stored[o.Name]) {
			stored[o.Name] = o.Stored
		}
	}
	now, ok := stored[l.shelf.prefix+l.name]
	if !ok {
		return mail.Errorf(mail.Temporary, "%s does not list the lock that was just written", l.shelf.store)
	}
	for object, at := range stored {
		if object == l.shelf.prefix+l.name {
			continue
		}
		if err := l.other(ctx, object, now.Sub(at)); err != nil {
			return err
		}
	}
	return nil
}

// other judges the lock of another, which is of an age.
func (l *shelfLock) other(ctx context.Context, object string, age time.Duration) error {
	h, err := l.read(ctx, object)
	switch {
	case mail.KindOf(err) == mail.NotFound:
		return nil // it was given back meanwhile
	case err != nil:
		return err
	case h == nil:
		return mail.WithHint(mail.Errorf(mail.InUse, "the backup in %s is locked by the object %s, which does not say by whom", l.shelf.store, object),
			"If no other backup is being made, remove the object %s from the store.", object)
	case age <= shelfLease && !h.gone():
		return mail.WithHint(mail.Errorf(mail.InUse, "the backup in %s is locked: %q", l.shelf.store, h),
			"Wait for it. If that process is gone, its lock ends by itself %s from now, or at once when the next backup is made on its host.", max(shelfLease-age, time.Second).Round(time.Second))
	}
	// Nobody but its holder, who must not rest on it any more, writes this name.
	err = l.shelf.Remove(strings.TrimPrefix(object, l.shelf.prefix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return keptLock(object, err)
}

// read returns what the object of a lock says; nil if it is no lock of ours.
func (l *shelfLock) read(ctx context.Context, object string) (*holder, error) {
	body, err := l.shelf.store.GetRange(ctx, Ref{Name: object}, 0, maxHolder)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(body)
	if err := errors.Join(err, body.Close()); err != nil {
		return nil, err
	}
	h := new(holder)
	if json.Unmarshal(b, h) != nil || h.Since.IsZero() {
		return nil, nil
	}
	return h, nil
}

// gone reports whether the process is known not to run any more. Of one on another
// system, or of which too little is known, nothing is known.
func (h holder) gone() bool {
	return h.Space != "" && h.Started != "" && h.Space == processSpace() && !processRuns(h.Process, h.Started)
}

// keep writes the lock again until ctx is done.
func (l *shelfLock) keep(ctx context.Context) {
	t := time.NewTicker(shelfBeat)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		begun := time.Now()
		if !l.held() {
			return // it may be another's: writing it would let both believe to hold it
		}
		if err := l.shelf.store.Replace(ctx, l.shelf.prefix+l.name, l.text(begun)); err == nil {
			l.mu.Lock()
			l.beat = begun
			l.mu.Unlock()
		}
	}
}

// held reports whether the lock was written a short while ago. A machine that slept
// shows in its clock, and not in what was running.
func (l *shelfLock) held() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	return now.Sub(l.beat) < shelfTrust && now.Round(0).Sub(l.beat.Round(0)) < shelfTrust
}

// Close gives the lock back.
func (l *shelfLock) Close() error {
	l.stop()
	l.beats.Wait()
	l.shelf.mu.Lock()
	if l.shelf.lock == l {
		l.shelf.lock = nil
	}
	l.shelf.mu.Unlock()
	return l.remove()
}

func (l *shelfLock) remove() error {
	err := l.shelf.removeAll(l.name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // another found it ended
	}
	return keptLock(l.shelf.prefix+l.name, err)
}

func keptLock(object string, err error) error {
	if mail.KindOf(err) == mail.Denied {
		return mail.WithHint(fmt.Errorf("remove the lock of the backup: %w", err),
			"The bucket must have no default retention, and the credentials the right to delete %s.", object)
	}
	return err
}

// writable returns why the shelf is not to be changed any more.
func (s *Shelf) writable() error {
	s.mu.Lock()
	l := s.lock
	s.mu.Unlock()
	if l == nil || l.held() {
		return nil
	}
	return mail.WithHint(mail.Errorf(mail.InUse, "the lock of the backup in %s could not be renewed for %s: another backup may be made now", s.store, shelfTrust),
		"Make the backup again when the store answers: what was copied is not copied again.")
}
