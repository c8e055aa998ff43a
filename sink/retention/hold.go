package retention

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// maxHeld is how many records one event of a hold names.
const maxHeld = 10_000

// Hold places a hold or releases one. On nil its events are durable in all ledgers
// that it touches. After an error they may be in some: the same order again goes on.
// Errors, before anything is changed: mail.Invalid if it is not well formed,
// mail.NotFound if a record, a mailbox or the matter to release is unknown.
func (a Archive) Hold(ctx context.Context, h mail.Hold) (mail.Matter, error) {
	if err := checkHold(h); err != nil {
		return mail.Matter{}, err
	}
	var err error
	if h.Released {
		err = a.release(ctx, h)
	} else {
		err = a.place(ctx, h)
	}
	if err != nil {
		return mail.Matter{}, err
	}
	all, err := a.Matters(ctx)
	if err != nil {
		return mail.Matter{}, mail.WithHint(fmt.Errorf("the hold is sealed, but it cannot be told: %w", err), "look with mailkeep hold list")
	}
	at := slices.IndexFunc(all, func(m mail.Matter) bool { return m.Matter == h.Matter })
	if at < 0 {
		return mail.Matter{}, mail.Errorf(mail.Temporary, "the hold is sealed, but the catalog does not tell of it yet")
	}
	return all[at], nil
}

func checkHold(h mail.Hold) error {
	if err := checkText("the matter", h.Matter, maxMatter); err != nil {
		return err
	}
	if err := cmp.Or(checkText("the reason", h.Reason, maxReason), checkBy(h.By)); err != nil {
		return err
	}
	scope := len(h.Mailboxes) + len(h.Records)
	switch {
	case h.Released && scope > 0:
		return mail.Errorf(mail.Invalid, "a matter is released as a whole")
	case !h.Released && scope == 0:
		return mail.Errorf(mail.Invalid, "the hold names no mailboxes and no messages")
	case len(h.Query) > maxQuery:
		return mail.Errorf(mail.Invalid, "the query has %d octets, more than %d", len(h.Query), maxQuery)
	}
	return nil
}

// place gives each partition its share.
func (a Archive) place(ctx context.Context, h mail.Hold) error {
	records, err := a.shares(h.Records)
	if err != nil {
		return err
	}
	boxes := map[int][]string{}
	for _, box := range h.Mailboxes {
		if err := checkText("the mailbox", box, 1000); err != nil {
			return err
		}
		p := int(mail.Partition(box, len(a.Partitions)))
		boxes[p] = append(boxes[p], box)
	}
	for p, ids := range records {
		if err := a.Partitions[p].haveAll(ids); err != nil {
			return err
		}
	}
	for p, part := range a.Partitions {
		if len(records[p])+len(boxes[p]) == 0 {
			continue
		}
		// If we die between two partitions, the first one holds its share.
		err := part.Turn(ctx, func(ctx context.Context) error {
			if err := part.haveAll(records[p]); err != nil {
				return err
			}
			return part.append(ctx, placings(h, boxes[p], records[p])...)
		})
		if err != nil {
			return fmt.Errorf("place the hold in partition %d: %w", p, err)
		}
	}
	return nil
}

// haveAll refuses records that are not there, or are erased.
func (p Partition) haveAll(ids []mail.ID) error {
	for _, id := range ids {
		if _, err := p.Catalog.Copies(id); err != nil {
			return err
		}
	}
	return nil
}

// placings are the events of a partition's share.
func placings(h mail.Hold, boxes []string, ids []mail.ID) []mail.Event {
	h.Mailboxes, h.Records = boxes, nil
	var events []mail.Event
	for chunk := range slices.Chunk(ids, maxHeld) {
		h.Records = chunk
		events = append(events, mail.Event{Type: mail.EventHold, Hold: new(h)})
		h.Mailboxes = nil
	}
	if len(events) == 0 {
		events = append(events, mail.Event{Type: mail.EventHold, Hold: &h})
	}
	return events
}

// release ends the matter wherever it holds.
func (a Archive) release(ctx context.Context, h mail.Hold) error {
	released := 0
	for p, part := range a.Partitions {
		err := part.Turn(ctx, func(ctx context.Context) error {
			all, err := part.Catalog.Matters()
			if err != nil || !slices.ContainsFunc(all, func(m mail.Matter) bool { return m.Matter == h.Matter && m.Holds() }) {
				return err
			}
			released++
			return part.append(ctx, mail.Event{Type: mail.EventHold, Hold: &h})
		})
		if err != nil {
			return fmt.Errorf("release the hold in partition %d: %w", p, err)
		}
	}
	if released == 0 {
		return mail.WithHint(mail.Errorf(mail.NotFound, "no matter %q holds anything", h.Matter), "mailkeep hold list prints the matters")
	}
	return nil
}

// levelWait is how long Matters waits for a catalog to be level with its ledger.
const levelWait = 15 * time.Second

// Matters returns the matters of all partitions by name, the released ones too.
// mail.Temporary while a catalog is built anew: it would tell of too few.
func (a Archive) Matters(ctx context.Context) ([]mail.Matter, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, levelWait,
		mail.Errorf(mail.Temporary, "the catalog has not followed the ledger, so it is not known what is held"))
	defer cancel()
	all := map[string]mail.Matter{}
	for _, p := range a.Partitions {
		var part []mail.Matter
		err := p.Turn(ctx, func(context.Context) (err error) {
			part, err = p.Catalog.Matters()
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, m := range part {
			if have, ok := all[m.Matter]; ok {
				m = join(have, m)
			}
			all[m.Matter] = m
		}
	}
	return slices.SortedFunc(maps.Values(all), func(a, b mail.Matter) int { return cmp.Compare(a.Matter, b.Matter) }), nil
}

// join adds up what two partitions know of a matter. One that holds in one of them
// holds; one that was placed anew after its release is told as it was placed last.
func join(a, b mail.Matter) mail.Matter {
	switch {
	case a.Holds() && !b.Holds():
		return a
	case b.Holds() && !a.Holds():
		return b
	case b.Placed.Before(a.Placed):
		a, b = b, a
	}
	a.Records += b.Records
	a.Mailboxes = slices.Concat(a.Mailboxes, b.Mailboxes)
	for _, q := range b.Queries {
		if !slices.Contains(a.Queries, q) {
			a.Queries = append(slices.Clip(a.Queries), q)
		}
	}
	if b.Released.After(a.Released) {
		a.Released = b.Released
	}
	return a
}
