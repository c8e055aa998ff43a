// Package patrol verifies a ledger again and again while it is in use.
//
// # Model
//
// Once in a day there is a round. It reads every header (the chain), and then the
// bodies of as many sealed segments, from where the last round ended, that all are
// read within Options.Every. What a round has done leaves an event in the ledger,
// one for each level.
//
// How far it has come is kept in a small file, which is derived state: if it is
// lost, the next round is a day away, and begins with the first segment. It is
// written after each segment, so a process that starts goes on where the last one
// stopped, also within a round.
//
// # Invariants
//
//   - Nothing of the ledger is changed, and nothing is held up: what it reads it
//     reads at Options.Rate at most, with files of its own.
//   - What is found stays found, over restarts, until the same segment is verified
//     without a finding. After a start those segments are verified first.
//   - A finding is told at once, and again in every round that meets it.
package patrol

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

const (
	// between is the time from the start of one round to the start of the next.
	between = 24 * time.Hour
	// longestWait bounds how long a wait can be wrong after a clock was set.
	longestWait = time.Hour
	// mostFindings is how many findings are kept; all are counted.
	mostFindings = 100
	// chainCost is the share of the octets of a segment that the chain takes to read.
	chainCost = 16
)

// The levels of verification that events name.
const (
	levelChain  = "chain"
	levelBodies = "bodies"
)

// Options are the parts of a Patrol.
type Options struct {
	Ledger    durable.FS // the directory of the ledger
	Archive   [16]byte
	Partition uint16
	// Size is how far the ledger is durable; it is not read beyond.
	Size func() uint64
	// State is where StateName is kept.
	State     durable.FS
	StateName string
	// Every is the time in which each body is read once. Rate bounds what is read,
	// in octets per second; 0: no bound.
	Every time.Duration
	Rate  int64
	// Record seals the result of a level in the ledger.
	Record func(ctx context.Context, v mail.Verify) error
	// Changed is told how many findings stand; it may be nil.
	Changed func(findings int)
	Logger  *slog.Logger     // nil: none
	Now     func() time.Time // nil: time.Now
}

// A Status is what a Patrol knows.
type Status struct {
	Chain    time.Time // end of the last verification of the whole chain
	Bodies   time.Time // when the last time began that all bodies were read to the end
	Next     uint64    // record that the bodies are read from next
	Findings []Finding // that stand, at most 100 of them
}

// A Patrol verifies one ledger. Run is called once.
type Patrol struct {
	o     Options
	log   *slog.Logger
	sleep func(context.Context, time.Duration) error

	mu    sync.Mutex // guards state
	state state
}

// New reads the state; what cannot be read begins anew.
func New(o Options) *Patrol {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	p := &Patrol{o: o, log: o.Logger.With(slog.Int("partition", int(o.Partition))), sleep: sleep}
	var err error
	if p.state, err = readState(o.State, o.StateName); err != nil {
		p.log.Warn("the progress of the verification is lost; it begins anew", slog.String("error", err.Error()))
	}
	return p
}

// Status returns what is known.
func (p *Patrol) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Status{Chain: p.state.Chain, Bodies: p.state.Bodies, Next: p.state.Next, Findings: slices.Clone(p.state.Findings)}
}

// Run verifies until ctx is done, and returns its error. A failure to read or to
// record is logged and tried again after an hour.
func (p *Patrol) Run(ctx context.Context) error {
	if err := p.start(ctx); err != nil {
		p.trouble(ctx, err)
	}
	for ctx.Err() == nil {
		wait := p.due()
		if wait <= 0 {
			if err := p.round(ctx); err == nil {
				continue
			} else if ctx.Err() == nil {
				p.trouble(ctx, err)
			}
			wait = longestWait
		}
		if err := p.sleep(ctx, min(wait, longestWait)); err != nil {
			break
		}
	}
	return ctx.Err()
}

func (p *Patrol) trouble(ctx context.Context, err error) {
	p.log.WarnContext(ctx, "the ledger cannot be verified now", slog.String("error", err.Error()), slog.String("kind", mail.KindOf(err).String()))
}

// due is how long the next round is away; a round that was begun goes on.
func (p *Patrol) due() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state.Round != nil {
		return 0
	}
	return p.state.Last.Add(between).Sub(p.o.Now())
}

// start verifies again what was found, and lets the first round of a ledger be a
// day away.
func (p *Patrol) start(ctx context.Context) error {
	if p.state.Last.IsZero() {
		if err := p.update(func(s *state) { s.Last = p.o.Now().UTC() }); err != nil {
			return err
		}
	}
	p.changed()
	segs, err := ledger.SegmentFiles(p.o.Ledger)
	if err != nil {
		return err
	}
	for i, seg := range segs {
		if !p.state.has(seg.Name) {
			continue
		}
		if _, err := p.verify(ctx, segs, i); err != nil {
			return err
		}
	}
	return nil
}

// round does what is left of a round.
func (p *Patrol) round(ctx context.Context) error {
	if p.state.Round == nil {
		if err := p.update(func(s *state) { s.Round = &round{Started: p.o.Now().UTC()} }); err != nil {
			return err
		}
	}
	if !p.state.Round.Chained {
		if err := p.chain(ctx); err != nil {
			return err
		}
	}
	return p.bodies(ctx)
}

// chain verifies all headers.
func (p *Patrol) chain(ctx context.Context) error {
	began := p.o.Now().UTC()
	var found []Finding
	r, err := ledger.Verify(ctx, p.o.Ledger, ledger.VerifyOptions{
		Archive: p.o.Archive, Partition: p.o.Partition, Depth: ledger.DepthChain, Durable: p.o.Size(),
		Pace: func(ctx context.Context, n int64) error { return p.pace(ctx, n/chainCost) }, Found: p.finder(ctx, levelChain, &found),
	})
	if err != nil {
		return err
	}
	if err := p.update(func(s *state) { s.settle("", levelChain, found) }); err != nil {
		return err
	}
	err = p.o.Record(ctx, mail.Verify{
		Level: levelChain, Until: r.Size, Segments: r.Segments, Octets: r.Octets, Findings: r.Damaged, Started: began, Ended: p.o.Now().UTC(),
	})
	if err != nil {
		return fmt.Errorf("record the verification: %w", err)
	}
	return p.update(func(s *state) { s.Chain, s.Round.Chained = p.o.Now().UTC(), true })
}

// bodies verifies the segments that are due, and ends the round.
func (p *Patrol) bodies(ctx context.Context) error {
	segs, err := ledger.SegmentFiles(p.o.Ledger)
	if err != nil {
		return err
	}
	quota := p.quota(segs)
	for i := p.nextOf(segs); i < len(segs) && p.state.Round.Octets < quota; i = p.nextOf(segs) {
		damaged, err := p.verify(ctx, segs, i)
		if err != nil {
			return err
		}
		if err := p.update(func(s *state) { s.did(segs, i, damaged) }); err != nil {
			return err
		}
	}
	r := *p.state.Round
	if r.Segments > 0 {
		err := p.o.Record(ctx, mail.Verify{
			Level: levelBodies, From: r.From, Until: p.state.Next, Segments: r.Segments, Octets: r.Octets, Findings: r.Findings,
			Started: r.Started, Ended: p.o.Now().UTC(),
		})
		if err != nil {
			return fmt.Errorf("record the verification: %w", err)
		}
	}
	return p.update(func(s *state) { s.end(segs, p.o.Now().UTC()) })
}

// quota is how many octets a round reads.
func (p *Patrol) quota(segs []ledger.SegmentFile) (n int64) {
	for _, s := range segs {
		n += s.Octets
	}
	rounds := max(int64(p.o.Every/between), 1)
	return n/rounds + 1
}

// nextOf is the index of the segment that is read next; beyond the last if there is
// none.
func (p *Patrol) nextOf(segs []ledger.SegmentFile) int {
	i, _ := slices.BinarySearchFunc(segs, p.state.Next, func(s ledger.SegmentFile, next uint64) int {
		switch {
		case s.First < next:
			return -1
		case s.First > next:
			return 1
		}
		return 0
	})
	return i
}

// verify reads the bodies of one segment. It returns the number of findings.
func (p *Patrol) verify(ctx context.Context, segs []ledger.SegmentFile, i int) (int, error) {
	var found []Finding
	end := max(p.o.Size(), segs[i].First+1)
	if i+1 < len(segs) {
		end = segs[i+1].First
	}
	r, err := ledger.Verify(ctx, p.o.Ledger, ledger.VerifyOptions{
		Archive: p.o.Archive, Partition: p.o.Partition, Depth: ledger.DepthBodies, From: segs[i].First, Durable: end,
		Pace: p.pace, Found: p.finder(ctx, levelBodies, &found),
	})
	if err != nil {
		return 0, err
	}
	return r.Damaged, p.update(func(s *state) { s.settle(segs[i].Name, levelBodies, found) })
}

// finder tells of findings, and gathers them.
func (p *Patrol) finder(ctx context.Context, level string, into *[]Finding) func(ledger.Finding) {
	return func(f ledger.Finding) {
		if f.Note() {
			return
		}
		p.log.ErrorContext(ctx, "the ledger is damaged", slog.String("level", level), slog.String("segment", f.Segment),
			slog.Int64("offset", f.Offset), slog.Uint64("record", f.Seq), slog.String("problem", f.Kind+": "+f.Detail))
		if len(*into) < mostFindings {
			*into = append(*into, Finding{Level: level, Segment: f.Segment, Offset: f.Offset, Record: f.Seq, Problem: f.Kind + ": " + f.Detail, Found: p.o.Now().UTC()})
		}
	}
}

func (p *Patrol) changed() {
	p.mu.Lock()
	n := len(p.state.Findings)
	p.mu.Unlock()
	if p.o.Changed != nil {
		p.o.Changed(n)
	}
}

// update changes the state and keeps it.
func (p *Patrol) update(change func(*state)) error {
	p.mu.Lock()
	change(&p.state)
	b, err := p.state.marshal()
	p.mu.Unlock()
	p.changed()
	if err != nil {
		return err
	}
	if err := durable.WriteFile(p.o.State, p.o.StateName, b); err != nil {
		return fmt.Errorf("keep the progress of the verification: %w", err)
	}
	return nil
}

// pace waits until so many octets may have been read.
func (p *Patrol) pace(ctx context.Context, octets int64) error {
	if p.o.Rate <= 0 {
		return ctx.Err()
	}
	return p.sleep(ctx, time.Duration(float64(octets)/float64(p.o.Rate)*float64(time.Second)))
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
