package sink

import (
	"context"
	"io"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/catalog"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

// A verdict is what becomes of one item of a batch.
type verdict struct {
	item   *item
	action action
	record mail.Record  // of what is appended, as far as known before it is
	at     int          // index among the entries, for appended and twin
	first  time.Time    // when the mailbox first brought the bytes, for a reference
	known  mail.Receipt // for duplicate
	err    error        // for refused
	second *second      // the reader of a large message that is appended
}

type action uint8

const (
	appended  action = iota
	duplicate        // sealed before: nothing is appended
	twin             // the same as an earlier item of this batch
	deferred         // rests on a message of this batch, whose record has no place yet
	refused
)

// A delivered is what makes two deliveries the same one.
type delivered struct {
	mailbox string
	uidl    mail.Octets
	digest  mail.Digest
	suspect bool
}

func deliveredOf(d mail.Delivery) delivered {
	return delivered{mailbox: d.Mailbox, uidl: d.UIDL, digest: d.Digest, suspect: d.Suspect != ""}
}

// copied names the bytes in one mailbox.
type copied struct {
	mailbox string
	digest  mail.Digest
}

// A plan is what one batch appends, and what each of its items gets.
type plan struct {
	maker    ledger.Maker
	entries  []*ledger.Entry
	verdicts []verdict

	deliveries map[delivered]int        // index of the entry of this batch
	copies     map[copied]bool          // mailboxes that this batch gives the bytes to
	fresh      map[mail.Digest]struct{} // bytes that this batch seals for the first time
	sessions   map[string]int           // index of the entry of this batch
}

// decide makes the plan for a batch on a catalog that is level with the ledger.
// An error is the catalog's; then nothing is decided.
func (s *Sink) decide(ctx context.Context, batch []*item) (*plan, error) {
	p := &plan{
		maker:      s.o.Log.Maker(),
		deliveries: make(map[delivered]int), copies: make(map[copied]bool),
		fresh: make(map[mail.Digest]struct{}), sessions: make(map[string]int),
	}
	var ds []mail.Delivery
	for _, it := range batch {
		if it.event == nil {
			ds = append(ds, it.in.Delivery)
		}
	}
	standings, err := s.o.Catalog.Standings(ds)
	if err != nil {
		return nil, err
	}
	for _, it := range batch {
		var v verdict
		if it.event == nil {
			standing := standings[0]
			standings = standings[1:]
			v = p.message(ctx, it, standing)
		} else if v, err = s.event(p, it); err != nil {
			return nil, err
		}
		p.verdicts = append(p.verdicts, v)
	}
	return p, nil
}

// message decides about one message.
func (p *plan) message(ctx context.Context, it *item, known catalog.Standing) verdict {
	d := it.in.Delivery
	v := verdict{item: it, record: mail.Record{Kind: mail.KindMessage, Delivery: d}}
	if at, same := p.deliveries[deliveredOf(d)]; same {
		v.action, v.at = twin, at
		return v
	}
	if _, same := p.fresh[d.Digest]; same {
		v.action = deferred
		return v
	}
	switch {
	case !known.Sealed.SealedAt.IsZero():
		return p.duplicate(v, known.Sealed)
	case known.Known:
		return p.reference(v, known)
	case it.large():
		v.second = &second{open: func() (io.ReadCloser, error) { return it.in.Raw(ctx) }}
		return p.first(v, ledger.LargeMessage(d, v.second))
	case it.entry == nil:
		// The preparer found the bytes in a catalog that has been emptied since.
		v.action, v.err = refused, mail.Errorf(mail.Temporary, "the catalog was rebuilt meanwhile")
		return v
	}
	return p.first(v, it.entry)
}

// duplicate returns the receipt of the delivery that is sealed. Its capture is
// the catalog's short one, except for what the two have in common.
func (p *plan) duplicate(v verdict, sealed mail.Receipt) verdict {
	if sealed.Fingerprint != v.item.in.Delivery.Fingerprint {
		// One digest, two sizes: the delivery lies about its bytes.
		v.action, v.err = refused, mismatch(v.item.in, sealed.Fingerprint.String())
		return v
	}
	sealed.Duplicate = true
	v.action, v.known = duplicate, sealed
	return v
}

func (p *plan) reference(v verdict, known catalog.Standing) verdict {
	d := v.item.in.Delivery
	again := known.Again || p.copies[copied{d.Mailbox, d.Digest}]
	entry, err := p.maker.Reference(d, known.Message, again)
	if err != nil {
		v.action, v.err = refused, about(err)
		return v
	}
	v.record.Kind, v.record.Of, v.record.Again = mail.KindReference, known.Message, again
	v.first = known.First
	return p.add(v, entry)
}

// first appends bytes that the ledger does not hold.
func (p *plan) first(v verdict, e *ledger.Entry) verdict {
	p.fresh[v.item.in.Delivery.Digest] = struct{}{}
	return p.add(v, e)
}

func (p *plan) add(v verdict, e *ledger.Entry) verdict {
	d := v.item.in.Delivery
	v.action, v.at = appended, len(p.entries)
	p.entries = append(p.entries, e)
	p.deliveries[deliveredOf(d)] = v.at
	p.copies[copied{d.Mailbox, d.Digest}] = true
	return v
}

// event decides about one event.
func (s *Sink) event(p *plan, it *item) (verdict, error) {
	v := verdict{item: it, record: mail.Record{Kind: mail.KindEvent, Event: it.event}}
	if it.event.Drain == nil { // the archive's own; each is one
		v.action, v.at = appended, len(p.entries)
		p.entries = append(p.entries, it.entry)
		return v, nil
	}
	session := it.event.Drain.Session
	if at, same := p.sessions[session]; same {
		v.action, v.at = twin, at
		return v, nil
	}
	id, known, err := s.o.Catalog.HasSession(session)
	if err != nil {
		return v, err
	}
	if known {
		v.action, v.known = duplicate, mail.Receipt{ID: id}
		return v, nil
	}
	v.action, v.at = appended, len(p.entries)
	p.entries = append(p.entries, it.entry)
	p.sessions[session] = v.at
	return v, nil
}

// settle fills in where the entries were sealed, and returns the records for the
// catalog. An entry that failed by itself takes its twins with it: they come
// again and are judged by their own bytes.
func (p *plan) settle(sealed []ledger.Sealed) []mail.Record {
	var records []mail.Record
	for i := range p.verdicts {
		v := &p.verdicts[i]
		if v.action != appended && v.action != twin {
			continue
		}
		at := sealed[v.at]
		switch {
		case at.Err != nil && v.action == appended:
			v.action, v.err = refused, v.failure(at.Err)
		case at.Err != nil:
			v.action, v.err = refused, mail.Errorf(mail.Temporary, "another copy in the same batch failed: %w", at.Err)
		default:
			v.known = mail.Receipt{
				Delivery: v.item.in.Delivery, ID: at.ID, Segment: at.Segment,
				SealedAt: at.At, Duplicate: v.action == twin, First: v.first,
			}
		}
		if v.action == appended {
			records = append(records, v.placed(at))
		}
	}
	return records
}

// failure tells a message whose bytes could not be read from one whose bytes are
// wrong: the ledger has verified what it got, the reader knows what it failed at.
func (v *verdict) failure(err error) error {
	if v.second != nil && v.second.err != nil {
		return about(v.second.err)
	}
	return about(err)
}

func (v *verdict) placed(at ledger.Sealed) mail.Record {
	r := v.record
	r.ID, r.Segment, r.Time, r.Next = at.ID, at.Segment, at.At, at.ID.Seq+1
	return r
}

// fail lets everything that was to be appended be sent again.
func (p *plan) fail(err error) {
	for i := range p.verdicts {
		if v := &p.verdicts[i]; v.action == appended || v.action == twin {
			v.action, v.err = refused, again(err)
		}
	}
}

// streams reports whether the plan has a message of several records.
func (p *plan) streams() bool {
	for _, v := range p.verdicts {
		if v.second != nil {
			return true
		}
	}
	return false
}
