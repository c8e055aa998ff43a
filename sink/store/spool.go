package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

// SpoolOptions are what a Spool needs to know.
type SpoolOptions struct {
	FS     durable.FS // the directory of the ledger itself, not its Tree
	Store  Store
	Prefix string // before the names of the segments in the store; ends with a slash
	Policy Policy
	// Terms, if set, tells what records of a segment, which it is given by the first of
	// them, were promised when they were sealed. It is asked before a segment is stored.
	Terms func(ctx context.Context, first uint64) ([]Term, error)
	// KeepLocal is how long a segment stays in the directory after it was sealed; 0
	// is for good.
	KeepLocal time.Duration
	// Record has an event appended to the ledger and returns once it is durable.
	Record func(context.Context, mail.Stored) error
	// Cut, if set, has the ledger seal its open segment if that is old enough. It is
	// asked before each pass.
	Cut func(context.Context) error
	// Held, if set, tells by what matters segments are held, which it is given by their
	// first records in order, and where the last of them ends. What is held is held in
	// the store too, and stays in the directory.
	Held func(ctx context.Context, firsts []uint64, end uint64) (map[uint64][]string, error)
	// Direct says that a Direct stores the segments: those that have no note are none
	// of the Spool's, which looks after holds and retention alone. Record, Cut and
	// KeepLocal are not used then.
	Direct bool
	// Interval is between two passes; 0 is one minute.
	Interval time.Duration
	Observe  func(Transfer)           // told of each upload; may be nil
	Passed   func(SpoolStatus, error) // told of each pass that was not broken off; may be nil
	Logger   *slog.Logger             // nil: none
	Now      func() time.Time         // nil: time.Now
}

// A Transfer is one segment that was uploaded and read back.
type Transfer struct {
	Octets int64
	Took   time.Duration
}

// A Spool uploads the sealed segments of one ledger and removes what has been
// stored for long enough. One goroutine runs it.
type Spool struct {
	o   SpoolOptions
	log *slog.Logger

	mu     sync.Mutex
	status SpoolStatus
	broken error

	// What follows belongs to the goroutine.
	notes  map[string]note
	looked map[string]time.Time // when the hold of an object was looked at last
}

// A SpoolStatus is how far a Spool has come.
type SpoolStatus struct {
	Stored  int   `json:"stored"`         // segments that are in the store
	Away    int   `json:"away"`           // those of them that are nowhere else
	Waiting int   `json:"waiting"`        // sealed segments that are not stored yet
	Octets  int64 `json:"octets"`         // of those that wait
	Held    int   `json:"held,omitempty"` // objects under legal hold
	// Oldest is when the oldest segment that waits was sealed; zero if none does.
	Oldest  time.Time `json:"oldest,omitzero"`
	Last    time.Time `json:"last,omitzero"` // last upload, by this process
	Problem string    `json:"problem,omitempty"`
}

// The pause after a pass that failed.
const (
	leastPause = time.Second
	mostPause  = 5 * time.Minute
)

// NewSpool returns a Spool that has done nothing yet.
func NewSpool(o SpoolOptions) *Spool {
	if o.Interval <= 0 {
		o.Interval = time.Minute
	}
	setDefaults(&o.Logger, &o.Now, &o.Observe)
	return &Spool{o: o, log: o.Logger, notes: map[string]note{}, looked: map[string]time.Time{}}
}

// setDefaults fills in what Spool and Direct do with options that are left out.
func setDefaults(log **slog.Logger, now *func() time.Time, observe *func(Transfer)) {
	if *log == nil {
		*log = slog.New(slog.DiscardHandler)
	}
	if *now == nil {
		*now = time.Now
	}
	if *observe == nil {
		*observe = func(Transfer) {}
	}
}

// Run makes pass after pass until ctx ends, whose error it returns. After a
// failure it pauses, longer each time. What is wrong Healthy tells.
func (s *Spool) Run(ctx context.Context) error {
	pause := leastPause
	for {
		wait := s.o.Interval
		if err := s.Pass(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "segments are not stored", slog.String("store", s.o.Store.String()),
				slog.Any("error", err), slog.Duration("pause", pause))
			wait = pause/2 + rand.N(pause/2+1) //nolint:gosec // it spreads load
			pause = min(2*pause, mostPause)
		} else {
			pause = leastPause
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// Healthy returns nil, or why the last pass failed.
func (s *Spool) Healthy() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken
}

// Status tells how far the Spool has come.
func (s *Spool) Status() SpoolStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// Pass stores what is sealed and not stored, in order, and then removes what is due.
// A segment that fails for reasons of its own does not hold back the others; a store
// that fails ends the pass.
func (s *Spool) Pass(ctx context.Context) error {
	err := s.pass(ctx)
	if ctx.Err() != nil {
		return err
	}
	s.mu.Lock()
	s.broken, s.status.Problem = err, ""
	if err != nil {
		s.status.Problem = err.Error()
	}
	status := s.status
	s.mu.Unlock()
	if s.o.Passed != nil {
		s.o.Passed(status, err)
	}
	return err
}

func (s *Spool) pass(ctx context.Context) error {
	if s.o.Cut != nil {
		if err := s.o.Cut(ctx); err != nil {
			return err
		}
	}
	segments, end, err := s.look()
	if err != nil {
		return err
	}
	failed := []error{s.lookHeld(ctx, segments, end)}
	for i, seg := range segments {
		if seg.note == nil && s.o.Direct {
			continue
		}
		if seg.note == nil {
			if seg.note, err = s.store(ctx, seg); err != nil {
				failed = append(failed, err)
				if !own(err) {
					break
				}
				continue
			}
			s.show(segments)
		}
		if err := s.hold(ctx, seg); err != nil { // it does not keep others from being stored
			failed = append(failed, fmt.Errorf("legal hold of segment %s: %w", seg.name, err))
		}
		newest := i == len(segments)-1
		if err := s.care(ctx, seg, newest); err != nil {
			failed = append(failed, err)
			if !own(err) {
				break
			}
		}
		s.show(segments)
	}
	return errors.Join(failed...)
}

// errPromise is of a segment that is not stored, because it is not known for how long.
var errPromise = errors.New("what its records were promised cannot be read")

// own reports whether an error is of one segment and says nothing of the others.
func own(err error) bool {
	k := mail.KindOf(err)
	return k == mail.InUse || k == mail.Corrupt || errors.Is(err, errPromise)
}

// A spooled is a segment as a pass finds it.
type spooled struct {
	name   string
	here   bool // in the directory
	octets int64
	sealed time.Time
	note   *note    // nil: not stored
	held   []string // matters
	unsure bool     // held is not known
}

// look lists the sealed segments in order, and tells where they end.
func (s *Spool) look() (all []*spooled, end uint64, err error) {
	entries, err := s.o.FS.ReadDir(".")
	if err != nil {
		return nil, 0, classifyFile(err)
	}
	end = math.MaxUint64
	for _, e := range entries { // a note comes right after its segment
		if open, ok := strings.CutSuffix(e.Name(), openSuffix); ok && isSegment(open) {
			end = min(end, firstOf(open))
		}
		name, isNote := strings.CutSuffix(e.Name(), NoteSuffix)
		if !isSegment(name) {
			continue
		}
		if len(all) == 0 || all[len(all)-1].name != name {
			all = append(all, &spooled{name: name})
		}
		seg := all[len(all)-1]
		if isNote {
			err = s.loadNote(seg)
		} else {
			err = s.loadInfo(seg, e)
		}
		if err != nil {
			return nil, 0, err
		}
	}
	for _, seg := range all {
		if seg.here && seg.note != nil && seg.note.Store != s.o.Store.String() {
			seg.note = nil // it is in the store of another configuration
		}
	}
	s.show(all)
	return all, end, nil
}

func (s *Spool) loadInfo(seg *spooled, e fs.DirEntry) error {
	info, err := e.Info()
	if err != nil {
		return classifyFile(err)
	}
	seg.here, seg.octets, seg.sealed = true, info.Size(), info.ModTime()
	return nil
}

func (s *Spool) loadNote(seg *spooled) error {
	n, ok := s.notes[seg.name]
	if !ok {
		var err error
		if n, err = readNote(s.o.FS, seg.name); err != nil {
			return classifyFile(err)
		}
		s.notes[seg.name] = n
	}
	seg.note = &n
	return nil
}

// show publishes what a pass knows.
func (s *Spool) show(segments []*spooled) {
	var now SpoolStatus
	for _, seg := range segments {
		if seg.note != nil && seg.note.Held {
			now.Held++
		}
		switch {
		case seg.note == nil:
			now.Waiting++
			now.Octets += seg.octets
			if now.Oldest.IsZero() || seg.sealed.Before(now.Oldest) {
				now.Oldest = seg.sealed
			}
		case !seg.here:
			now.Away++
			fallthrough
		default:
			now.Stored++
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now.Last, now.Problem = s.status.Last, s.status.Problem
	s.status = now
}

// store uploads a segment and makes sure that it is there.
func (s *Spool) store(ctx context.Context, seg *spooled) (_ *note, err error) {
	began := s.o.Now()
	f, err := s.o.FS.Open(seg.name)
	if err != nil {
		return nil, classifyFile(err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	sum, err := hashOf(ctx, io.NewSectionReader(f, 0, seg.octets))
	if err != nil {
		return nil, classifyFile(err)
	}
	policy, err := s.policy(ctx, seg)
	if err != nil {
		return nil, err
	}
	n := note{Format: 1, Octets: seg.octets, Sum: sum, Store: s.o.Store.String(), Sealed: sealedAt(seg.sealed, began)}
	// If we die from here on, or lose an answer, the next pass meets the object that
	// is there already.
	o, err := s.o.Store.PutIfAbsent(ctx, s.o.Prefix+seg.name, n.content(f), policy.For(n.Sealed, began))
	if err != nil {
		return nil, err
	}
	if err := readBack(ctx, s.o.Store, o.Ref, n); err != nil {
		return nil, err
	}
	n.Ref, n.Retention, n.Stored = o.Ref, o.Retention, s.o.Now().UTC()
	if err := s.o.Record(ctx, n.event(seg.name)); err != nil {
		return nil, err
	}
	// If we die here, the next pass reads it back once more, and there is a second
	// event that says the same.
	if err := s.keepNote(seg.name, n); err != nil {
		return nil, err
	}
	s.stored(ctx, seg.name, n, s.o.Now().Sub(began))
	return &n, nil
}

// policy is the retention of a segment that is stored now. The one in force may have
// become shorter since it was sealed.
func (s *Spool) policy(ctx context.Context, seg *spooled) (Policy, error) {
	p := s.o.Policy
	if s.o.Terms == nil {
		return p, nil
	}
	terms, err := s.o.Terms(ctx, firstOf(seg.name))
	if err != nil {
		return p, fmt.Errorf("segment %s: %w: %w", seg.name, errPromise, err)
	}
	p.Classes = slices.Concat(p.Classes, terms)
	return p, nil
}

// sealedAt is when a segment was sealed, by the time stamp of its file. Retention is
// counted from there, so one that was lost in a copy is not believed.
func sealedAt(stamp, now time.Time) time.Time {
	if stamp.Year() < 2020 || stamp.After(now) {
		stamp = now
	}
	return stamp.UTC()
}

func (s *Spool) keepNote(name string, n note) error {
	if err := writeNote(s.o.FS, name, n); err != nil {
		return classifyFile(err)
	}
	s.notes[name] = n
	return nil
}

// readBack compares all octets of the object with what was sent.
func readBack(ctx context.Context, s Store, ref Ref, n note) error {
	body, err := s.GetRange(ctx, ref, 0, n.Octets)
	if err != nil {
		return err
	}
	sum, err := hashOf(ctx, body)
	if err := errors.Join(err, body.Close()); err != nil {
		return err
	}
	if sum != n.Sum {
		// It may be the way and not the object: the next pass asks again.
		return mail.Errorf(mail.Temporary, "%s in %s reads back as SHA-256 %s, it was stored as %s", ref, s, sum, n.Sum)
	}
	return nil
}

func (n note) event(segment string) mail.Stored {
	return mail.Stored{
		Segment: segment, Octets: n.Octets, Digest: n.Sum, Store: n.Store, Object: n.Name, Version: n.Version,
		Mode: string(n.Retention.Mode), Until: n.Retention.Until,
	}
}

func (s *Spool) stored(ctx context.Context, name string, n note, took time.Duration) {
	s.log.InfoContext(ctx, "segment is stored", slog.String("segment", name), slog.String("store", n.Store),
		slog.Int64("octets", n.Octets), slog.Time("retained_until", n.Retention.Until), slog.Duration("took", took))
	s.o.Observe(Transfer{Octets: n.Octets, Took: took})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Last = n.Stored
}
