package tlog

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

const (
	// DefaultAnchorInterval is how often checkpoints are anchored unless
	// AnchorOptions say else.
	DefaultAnchorInterval = time.Hour
	// anchorTime is the name of an anchor's directory.
	anchorTime = "20060102T150405.000Z"
	// askTimeout bounds one request.
	askTimeout = 30 * time.Second
	firstRetry = time.Minute
)

// AnchorOptions say who vouches for the checkpoints of a log.
type AnchorOptions struct {
	FS   durable.FS // the directory of the log's anchors; see AnchorPath
	View *View      // of the log
	// Head is called for the checkpoint to anchor, each time that one is due.
	// Where an archive has several logs it first appends to this one the record
	// that names the heads of all.
	Head func(ctx context.Context) (Checkpoint, error)
	// TSAs are the URLs of time stamp authorities, and Roots those who vouch for
	// their certificates; nil leaves the chain unverified.
	TSAs      []string
	Roots     *x509.CertPool
	Witnesses []*Witness
	Post      Post
	Interval  time.Duration    // 0: DefaultAnchorInterval
	Logger    *slog.Logger     // nil: none
	Now       func() time.Time // nil: time.Now
	// Asked is told of each answer; it must not block; may be nil.
	Asked func(service string, err error)
}

// An Anchorer has the checkpoints of a log anchored on a schedule. A service
// that fails is asked again after a pause that doubles, up to the interval, and
// keeps nobody waiting but itself.
type Anchorer struct {
	o        AnchorOptions
	services []*service

	mu     sync.Mutex
	last   Anchored
	failed map[string]error
}

// An Anchored tells what was anchored last.
type Anchored struct {
	Size uint64    // of the checkpoint
	Time time.Time // when it was asked for
	By   []string  // the services that vouch for it
}

// A service is somebody who is asked.
type service struct {
	name  string
	due   time.Time
	pause time.Duration // after a failure; 0 if the last answer was good
	size  uint64        // that it vouched for last
	ask   func(ctx context.Context, c Checkpoint, a *anchor) error
}

// AnchorPath is the directory of the anchors of a partition's log below that of the
// archive's anchors, which itself holds those of partition 0.
func AnchorPath(partition uint16) string {
	if partition == 0 {
		return "."
	}
	return fmt.Sprintf("%04d", partition)
}

// isAnchorPath tells the directory of a partition's anchors from an anchor.
func isAnchorPath(name string) bool {
	return len(name) == 4 && strings.Trim(name, "0123456789") == ""
}

// NewAnchorer makes an Anchorer.
func NewAnchorer(o AnchorOptions) *Anchorer {
	if o.Interval <= 0 {
		o.Interval = DefaultAnchorInterval
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	a := &Anchorer{o: o, failed: map[string]error{}}
	for i, where := range o.TSAs {
		file := fmt.Sprintf("%d-%s", i+1, fileSafe(where))
		a.services = append(a.services, &service{name: where, ask: func(ctx context.Context, c Checkpoint, to *anchor) error {
			s, err := requestStamp(ctx, o.Post, where, c.Note, o.Roots)
			if err != nil {
				return err
			}
			return errors.Join(to.write(file+".tsr", s.Response), to.write(file+".pem", s.Chain))
		}})
	}
	for _, w := range o.Witnesses {
		a.services = append(a.services, &service{name: w.Name(), ask: func(ctx context.Context, c Checkpoint, to *anchor) error {
			lines, err := w.cosign(ctx, o.Post, o.View, c)
			if err != nil {
				return err
			}
			to.cosignatures = append(to.cosignatures, lines...)
			return to.write("cosigned", append(c.Note[:len(c.Note):len(c.Note)], to.cosignatures...))
		}})
	}
	a.resume()
	return a
}

// resume takes the schedule up where the process before left it: who runs for a
// minute at a time is not to ask at each start.
func (a *Anchorer) resume() {
	dirs, err := a.o.FS.ReadDir(".")
	if err != nil {
		return // the first answer makes the directory, or says what is wrong with it
	}
	for _, d := range slices.Backward(dirs) {
		at, err := time.Parse(anchorTime, d.Name())
		if err != nil {
			continue
		}
		b, err := durable.ReadFile(a.o.FS, d.Name()+"/"+checkpointName)
		if err != nil {
			continue // a crash came before it was written
		}
		if c, err := parseBody(string(b)); err == nil {
			a.last = Anchored{Size: c.Size, Time: at}
		}
		for _, s := range a.services {
			s.due = at.Add(a.o.Interval)
		}
		return
	}
}

// Last tells what was anchored last by this Anchorer.
func (a *Anchorer) Last() Anchored {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

// Healthy returns nil, or why a service did not vouch when it was asked last.
func (a *Anchorer) Healthy() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var errs []error
	for _, s := range a.services {
		if err := a.failed[s.name]; err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Run anchors until ctx is done, and returns its error.
func (a *Anchorer) Run(ctx context.Context) error { return RunAnchorers(ctx, a) }

// RunAnchorers anchors several logs one after the other, so that no service is asked
// for all of them at once, until ctx is done, and returns its error. There must be one.
func RunAnchorers(ctx context.Context, all ...*Anchorer) error {
	for {
		wait := all[0].Anchor(ctx)
		for _, a := range all[1:] {
			if ctx.Err() == nil {
				wait = min(wait, a.Anchor(ctx))
			}
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
	}
}

// Anchor asks the services that are due. It returns when the next one is.
func (a *Anchorer) Anchor(ctx context.Context) (wait time.Duration) {
	now := a.o.Now()
	var due []*service
	for _, s := range a.services {
		if !s.due.After(now) {
			due = append(due, s)
		}
	}
	if len(due) > 0 {
		a.round(ctx, now, due)
	}
	next := now.Add(a.o.Interval)
	for _, s := range a.services {
		if s.due.Before(next) {
			next = s.due
		}
	}
	return max(next.Sub(a.o.Now()), time.Second)
}

// round asks some services about one checkpoint.
func (a *Anchorer) round(ctx context.Context, now time.Time, due []*service) {
	c, err := a.o.Head(ctx)
	var to *anchor
	if err == nil && c.Size > 0 {
		to = &anchor{fs: a.o.FS, now: now, checkpoint: c}
	}
	for _, s := range due {
		switch {
		case err != nil:
			a.answered(ctx, now, s, c, fmt.Errorf("take a checkpoint to anchor: %w", err))
		case to == nil || s.size == c.Size:
			s.due = now.Add(a.o.Interval) // nothing is new
		default:
			asking, cancel := context.WithTimeout(ctx, askTimeout)
			a.answered(ctx, now, s, c, s.ask(asking, c, to))
			cancel()
		}
	}
}

// answered notes what a service said, and when it is to be asked again.
func (a *Anchorer) answered(ctx context.Context, now time.Time, s *service, c Checkpoint, err error) {
	if ctx.Err() != nil {
		return
	}
	if a.o.Asked != nil {
		a.o.Asked(s.name, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed[s.name] = err
	if err == nil {
		s.pause, s.size, s.due = 0, c.Size, now.Add(a.o.Interval)
		if a.last.Size != c.Size || !a.last.Time.Equal(now) {
			a.last = Anchored{Size: c.Size, Time: now.UTC()}
		}
		a.last.By = append(a.last.By, s.name)
		a.o.Logger.InfoContext(ctx, "checkpoint is anchored", slog.String("log", c.Origin), slog.Uint64("size", c.Size), slog.String("by", s.name))
		return
	}
	s.pause = min(max(2*s.pause, firstRetry), a.o.Interval)
	s.due = now.Add(s.pause)
	level := slog.LevelWarn
	if mail.KindOf(err) == mail.Corrupt {
		level = slog.LevelError
	}
	a.o.Logger.Log(ctx, level, "checkpoint could not be anchored", slog.String("by", s.name), slog.String("error", err.Error()),
		slog.Duration("again_in", s.pause))
}

// An anchor is the directory of what vouches for one checkpoint. It is made when
// the first answer is stored.
type anchor struct {
	fs           durable.FS
	now          time.Time
	checkpoint   Checkpoint
	dir          string
	cosignatures []byte
}

// write stores a file durably.
func (a *anchor) write(name string, b []byte) error {
	if a.dir == "" {
		if err := a.make(); err != nil {
			return fmt.Errorf("store the anchor: %w", err)
		}
	}
	if err := durable.WriteFile(a.fs, a.dir+"/"+name, b); err != nil {
		return fmt.Errorf("store the anchor: %w", err)
	}
	return nil
}

func (a *anchor) make() error {
	dir := a.now.UTC().Format(anchorTime)
	for n := 2; ; n++ {
		_, err := a.fs.Stat(dir)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return err
		}
		dir = fmt.Sprintf("%s-%d", a.now.UTC().Format(anchorTime), n)
	}
	if err := a.fs.MkdirAll(dir); err != nil {
		return err
	}
	if err := a.fs.SyncDir("."); err != nil {
		return err
	}
	if err := durable.WriteFile(a.fs, dir+"/"+checkpointName, a.checkpoint.Note); err != nil {
		return err
	}
	a.dir = dir
	return nil
}
