package indexer

import (
	"context"
	"iter"
	"slices"

	"github.com/mailkeep/mailkeep/mail"
)

// Redo makes the documents of records again, in the place of those that are
// there, for when what is made of a message has changed. It may run beside
// Follow. Records that are not indexed yet are passed over: the follower comes
// to them. A sealed shard is written anew as a whole, so many records at once
// cost little more than one.
//
// On nil the new documents are durable. After an error, or a crash, each shard
// has all of its new documents or none, but for those that are not sealed; the
// same call does the rest.
func (x *Index) Redo(ctx context.Context, src Source, parse ParseFunc, date DateFunc, ids []mail.ID) error {
	var seqs []uint64
	for _, id := range ids {
		if id.Partition == x.opts.Partition && id.Seq < x.Position() {
			seqs = append(seqs, id.Seq)
		}
	}
	seqs = union(seqs, nil)
	f := feed{src, parse, date}
	done := map[location]bool{}
	for more := true; more; {
		more = false
		for p, at := range x.locations() {
			if done[at] {
				continue
			}
			var err error
			if done[at], err = x.redoPart(ctx, f, p, seqs); err != nil {
				return err
			}
			more = more || !done[at]
		}
	}
	return nil
}

// A location is where a part is in the index; the part that takes its place when it
// is written anew has the same.
type location struct{ generation, from uint64 }

// locations lists the parts of all generations.
func (x *Index) locations() map[*part]location {
	x.mu.RLock()
	defer x.mu.RUnlock()
	out := map[*part]location{}
	for _, g := range []*generation{x.serving, x.building} {
		if g == nil {
			continue
		}
		for _, p := range g.parts {
			out[p] = location{g.number, p.from}
		}
	}
	return out
}

// redoPart makes documents of one part again. It reports whether the part was
// one of the index still; if not, another has taken its place with the documents
// as they were.
func (x *Index) redoPart(ctx context.Context, f feed, p *part, seqs []uint64) (held bool, err error) {
	x.changes.Lock()
	defer x.changes.Unlock()
	if !x.current(p) {
		return false, nil
	}
	p.pin()
	defer p.unpin()
	s := p.describe()
	seqs = inside(&s, seqs)
	switch {
	case len(seqs) == 0:
		return true, nil
	case s.Dir == "": // what is built of it may be as it was
		p.beginAgain()
		x.mu.Lock()
		defer x.mu.Unlock()
		return true, x.save()
	}
	e, err := p.open()
	if err != nil {
		return true, err
	}
	if !s.Sealed {
		return true, x.again(ctx, f, e, seqs)
	}
	w := rewriting{gone: s.Gone, fill: func(ctx context.Context, e *engine) error {
		return x.again(ctx, f, e, union(seqs, s.Redo))
	}}
	return true, x.rewriteInto(ctx, p, e, w, func(shardInfo) bool { return true })
}

// again makes the documents of the records, ascending, that the engine holds
// already, and puts them in their place.
func (x *Index) again(ctx context.Context, f feed, e *engine, seqs []uint64) error {
	if len(seqs) == 0 {
		return nil
	}
	p := f.pump()
	p.src = picked{f.src, seqs}
	p.target = seqs[len(seqs)-1] + 1
	p.from = seqs[0]
	return x.pumpTo(ctx, p, &writer{index: x, engine: e, keep: true})
}

// picked is a source of some of the records only, by position, ascending.
type picked struct {
	Source
	seqs []uint64
}

// maxStride is how many records that are not wanted are read rather than
// skipped by beginning anew.
const maxStride = 256

// Records implements Source.
func (s picked) Records(ctx context.Context, from uint64) iter.Seq2[mail.Record, error] {
	return func(yield func(mail.Record, error) bool) {
		at, _ := slices.BinarySearch(s.seqs, from)
		for rest := s.seqs[at:]; len(rest) > 0; {
			var more bool
			if rest, more = s.run(ctx, rest, yield); !more {
				return
			}
		}
	}
}

// run yields wanted records that are near one another, and returns those that
// are left. What is not a record of its own, or none at all, is passed over.
func (s picked) run(ctx context.Context, want []uint64, yield func(mail.Record, error) bool) (rest []uint64, more bool) {
	for r, err := range s.Source.Records(ctx, want[0]) {
		if err != nil {
			yield(r, err)
			return nil, false
		}
		for len(want) > 0 && want[0] < r.ID.Seq {
			want = want[1:]
		}
		switch {
		case len(want) == 0:
			return nil, true
		case want[0] == r.ID.Seq:
			if want = want[1:]; !yield(r, nil) {
				return nil, false
			}
		case want[0]-r.ID.Seq > maxStride:
			return want, true
		}
		if len(want) == 0 {
			return nil, true
		}
	}
	return nil, true
}
