package store

import (
	"context"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// A Period is a length of retention by the calendar: six years are six years, leap
// days or not.
type Period struct{ Years, Months, Days int }

// after returns the end of the period that begins at t.
func (p Period) after(t time.Time) time.Time { return t.UTC().AddDate(p.Years, p.Months, p.Days) }

// A Policy is the retention of objects.
type Policy struct {
	Mode   Mode // None: nothing is retained
	Period Period
	// EndOfYear lets the period begin with the end of the calendar year (UTC) in
	// which a record was received, as tax law has it in some countries.
	EndOfYear bool
	// Classes are the terms of other records in the same objects: the longest counts.
	Classes []Term
}

// A Term is a period and when it begins, as in a Policy.
type Term struct {
	Period    Period
	EndOfYear bool
}

// end returns the end of the term of what was received at a time.
func (t Term) end(at time.Time) time.Time {
	at = at.UTC()
	if t.EndOfYear {
		at = time.Date(at.Year()+1, time.January, 1, 0, 0, 0, 0, time.UTC)
	}
	return t.Period.after(at)
}

// leastRetention is what an object is retained at least: what is stored so late
// that its period is over is still stored safely before it is removed elsewhere.
const leastRetention = 24 * time.Hour

// For returns the retention of what was received until at, and is stored now.
func (p Policy) For(at, now time.Time) Retention {
	if p.Mode == None {
		return Retention{}
	}
	until := Term{p.Period, p.EndOfYear}.end(at)
	for _, c := range p.Classes {
		if end := c.end(at); end.After(until) {
			until = end
		}
	}
	if least := now.UTC().Add(leastRetention); until.Before(least) {
		until = least
	}
	return Retention{Mode: p.Mode, Until: whole(until)}
}

// whole rounds up to a second, which is what stores keep.
func whole(t time.Time) time.Time {
	if r := t.Truncate(time.Second); !r.Equal(t) {
		return r.Add(time.Second)
	}
	return t
}

// How far a hold reaches ahead, and how near its end may come.
const (
	holdAhead  = 90 * 24 * time.Hour
	holdMargin = 60 * 24 * time.Hour
)

// Hold forbids to delete an object until Release, by two means: the store's own
// legal hold, and a retention that reaches 90 days ahead, because there are stores
// that heed the hold no more once the retention is over. Whoever holds calls
// KeepHeld at least once a month.
func Hold(ctx context.Context, s Store, ref Ref, mode Mode, now time.Time) error {
	if mode == None {
		return mail.Errorf(mail.Invalid, "a hold needs a mode of retention")
	}
	// The date comes first: if we die here, the object is safe for 90 days and the
	// next call goes on.
	if _, err := s.ExtendRetention(ctx, ref, Retention{Mode: mode, Until: whole(now.UTC().Add(holdAhead))}); err != nil {
		return err
	}
	return s.SetHold(ctx, ref, true)
}

// KeepHeld renews the retention of an object under hold if it ends within 60 days,
// and reports whether it did. An object without a hold is left alone.
func KeepHeld(ctx context.Context, s Store, ref Ref, now time.Time) (bool, error) {
	o, err := s.Stat(ctx, ref)
	if err != nil || !o.Hold || o.Retention.Until.After(now.Add(holdMargin)) {
		return false, err
	}
	mode := o.Retention.Mode
	if mode == None {
		mode = Governance
	}
	_, err = s.ExtendRetention(ctx, ref, Retention{Mode: mode, Until: whole(now.UTC().Add(holdAhead))})
	return err == nil, err
}

// Release lifts the store's legal hold. The retention runs to its end: it never
// gets shorter.
func Release(ctx context.Context, s Store, ref Ref) error { return s.SetHold(ctx, ref, false) }
