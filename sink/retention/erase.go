package retention

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

// Erase destroys the keys of records, with the references to the messages among
// them. On nil they are destroyed, and the catalogs have no trace of them. Errors,
// before anything is changed: mail.Denied if a record is held, or retained and the
// order does not say despite that; mail.Invalid if the archive is not encrypted, its
// keys are in escrow or cannot be destroyed; mail.NotFound for a record that never
// was. After another error some may be destroyed: the same order again goes on.
func (a Archive) Erase(ctx context.Context, o mail.EraseOrder) (mail.Erased, error) {
	done := mail.Erased{DryRun: o.DryRun}
	if err := cmp.Or(checkText("the reason", o.Reason, maxReason), checkBy(o.By)); err != nil {
		return done, err
	}
	if len(o.Records) == 0 {
		return done, mail.Errorf(mail.Invalid, "no message is named")
	}
	shares, err := a.shares(o.Records)
	if err != nil {
		return done, err
	}
	for p := range a.Partitions {
		if len(shares[p]) == 0 {
			continue
		}
		found, err := a.judge(ctx, p, shares[p], o)
		if err != nil {
			return done, err
		}
		if o.DryRun {
			done.Records, done.Before = append(done.Records, found.all...), done.Before+found.before
		}
	}
	for p := 0; p < len(a.Partitions) && !o.DryRun; p++ {
		if len(shares[p]) == 0 {
			continue
		}
		if err := a.erase(ctx, p, shares[p], o, &done); err != nil {
			return done, fmt.Errorf("erase in partition %d: %w", p, err)
		}
	}
	return done, nil
}

// erase carries out the share of one partition.
func (a Archive) erase(ctx context.Context, p int, ids []mail.ID, o mail.EraseOrder, done *mail.Erased) error {
	part := a.Partitions[p]
	return part.Turn(ctx, func(ctx context.Context) error {
		found, err := a.judge(ctx, p, ids, o)
		if err != nil {
			return err
		}
		r, err := part.Ledger.Erase(ctx, ledger.Order{Records: found.all, Reason: o.Reason, By: o.By})
		done.Keys += r.Erased
		if err == nil {
			done.Records, done.Before = append(done.Records, found.all...), done.Before+found.before
		}
		return err
	})
}

// A judged is what an order comes to in one partition.
type judged struct {
	all    []mail.ID // with the references, in order
	before int       // erased already
}

// judge says what is to be erased, or why it must not be.
func (a Archive) judge(ctx context.Context, p int, ids []mail.ID, o mail.EraseOrder) (judged, error) {
	var out judged
	part := a.Partitions[p]
	for _, id := range ids {
		r, err := part.record(ctx, id)
		if err != nil {
			return out, err
		}
		copies, err := a.judgeOne(ctx, p, r, o)
		if r.Erased && mail.KindOf(err) == mail.NotFound { // the catalog has no trace of it
			copies, err = a.rest(ctx, p, id, o)
		}
		if err != nil {
			return out, err
		}
		if r.Erased {
			out.before++
		}
		out.all = append(out.all, copies...)
	}
	slices.SortFunc(out.all, func(a, b mail.ID) int { return cmp.Compare(a.Seq, b.Seq) })
	out.all = slices.Compact(out.all)
	return out, part.Ledger.Erasable(ctx, out.all)
}

// rest returns what goes with a record that is erased: itself, and the references to
// it that are left of an order that was cut off.
func (a Archive) rest(ctx context.Context, p int, id mail.ID, o mail.EraseOrder) ([]mail.ID, error) {
	orphans, err := a.Partitions[p].Catalog.Orphans(id)
	if err != nil {
		return nil, err
	}
	all := []mail.ID{id}
	for _, one := range orphans {
		copies, err := a.judgeOne(ctx, p, mail.Record{ID: one}, o)
		if err != nil {
			return nil, err
		}
		all = append(all, copies...)
	}
	return all, nil
}

// judgeOne returns what goes with a record that the catalog has.
func (a Archive) judgeOne(ctx context.Context, p int, r mail.Record, o mail.EraseOrder) ([]mail.ID, error) {
	part := a.Partitions[p]
	matters, err := part.Catalog.HeldBy(r.ID)
	if err != nil {
		return nil, err
	}
	if len(matters) > 0 {
		return nil, mail.WithHint(mail.Errorf(mail.Denied, "message %s is under legal hold: %s", r.ID, strings.Join(matters, ", ")),
			"What is held must be kept. Who is responsible for the matter releases it with mailkeep hold release.")
	}
	copies, err := part.Catalog.Copies(r.ID)
	if err != nil || o.DespiteRetention {
		return copies, err
	}
	for _, id := range copies { // a reference may be younger than its message
		one, err := part.record(ctx, id)
		if err != nil {
			return nil, err
		}
		if one.Erased {
			continue // by an order that was cut off; what it was promised went with it
		}
		if until := a.until(one); until.After(a.now()) {
			return nil, mail.WithHint(mail.Errorf(mail.Denied, "message %s is retained until %s, %s", id, until.UTC().Format(time.DateOnly), by(one)),
				"If a law demands that it is erased before, order it with --despite-retention.")
		}
	}
	return copies, nil
}

func (a Archive) until(r mail.Record) time.Time {
	if a.Until == nil {
		return time.Time{}
	}
	return a.Until(r)
}

// by says what keeps a record.
func by(r mail.Record) string {
	if c := r.Delivery.Class; !c.IsZero() {
		return "in the class " + c.Name
	}
	return "by the present configuration, as it was sealed without a class"
}

func (a Archive) now() time.Time {
	if a.Now == nil {
		return time.Now()
	}
	return a.Now()
}

// record reads a message or reference, which may be erased already.
func (p Partition) record(ctx context.Context, id mail.ID) (mail.Record, error) {
	for r, err := range p.Ledger.Records(ctx, id.Seq) {
		if err != nil {
			return r, err
		}
		if r.ID == id && (r.Kind == mail.KindMessage || r.Kind == mail.KindReference) {
			return r, nil
		}
		break
	}
	return mail.Record{}, noMessage(id)
}
