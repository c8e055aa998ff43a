package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/mailkeep/mailkeep/mail"
)

// keyFindings is what a verification learns of keys.
type keyFindings struct {
	told    map[uint64]bool // first numbers of segments whose keys are known to be missing
	erased  []erased
	ordered map[uint64]bool // records of this partition that an event says are erased
}

// An erased record is one whose key is gone.
type erased struct {
	segment string
	off     int64
	seq     uint64
	first   uint64 // of its group
}

// shut handles a record that is as it was written, and that cannot be opened.
func (v *verifier) shut(e *examined) {
	h := &e.head
	v.group.intact, v.lost = false, h.seq+1
	switch {
	case isErased(e.closed):
		v.keys.erased = append(v.keys.erased, erased{v.seg.name(), v.off, h.seq, h.firstSeq})
	case v.opts.Keys == nil && h.cipher != cipherNone:
		v.report.Locked++
	default:
		v.report.Locked++
		if !v.keys.told[v.seg.first] {
			if v.keys.told == nil {
				v.keys.told = make(map[uint64]bool)
			}
			v.keys.told[v.seg.first] = true
			v.here(FoundKey, e.closed)
			v.damaged = false // it is not the segment that is
		}
	}
}

// event verifies an event, and learns from it what was erased.
func (v *verifier) event(e *examined) {
	ev := new(mail.Event)
	if err := json.Unmarshal(e.raw, ev); err != nil {
		v.here(FoundContent, err)
		return
	}
	v.learnErased(ev)
}

func (v *verifier) learnErased(ev *mail.Event) {
	if ev.Erase == nil {
		return
	}
	if v.keys.ordered == nil {
		v.keys.ordered = make(map[uint64]bool)
	}
	for _, id := range ev.Erase.Records {
		if id.Partition == v.opts.Partition {
			v.keys.ordered[id.Seq] = true
		}
	}
}

// judgeErased compares the records whose keys are gone with what events tell.
func (v *verifier) judgeErased(ctx context.Context) error {
	if len(v.keys.erased) == 0 {
		return nil
	}
	if err := v.lateOrders(ctx); err != nil {
		return err
	}
	for _, e := range v.keys.erased {
		if v.keys.ordered[e.first] || v.keys.ordered[e.seq] {
			v.report.Erased++
			continue
		}
		v.find(e.segment, e.off, e.seq, FoundErased, errors.New("the key of the record is gone, and no event tells that it was destroyed"))
	}
	return nil
}

// lateOrders looks for events behind the end of the verification: keys may have
// been destroyed while it went on.
func (v *verifier) lateOrders(ctx context.Context) error {
	if v.opts.Durable == 0 {
		return nil
	}
	r, err := OpenReader(v.view.fs, Options{
		Archive: v.opts.Archive, Partition: v.opts.Partition, Dictionaries: v.opts.Dictionaries, Keys: v.opts.Keys,
	})
	if err != nil {
		return err
	}
	for rec, err := range r.Records(ctx, v.opts.Durable) {
		if err != nil {
			return errors.Join(fmt.Errorf("read behind record %d: %w", v.opts.Durable, err), r.Close())
		}
		if rec.Event != nil {
			v.learnErased(rec.Event)
		}
	}
	return r.Close()
}
