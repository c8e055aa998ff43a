package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/mailkeep/mailkeep/mail"
)

// recentRecords is how many deliveries are remembered: reports of sessions name
// what they have just sealed, as a rule.
const recentRecords = 1 << 16

// A gapSearch compares what sessions reported with what is stored. It reads the
// ledger once, in order.
type gapSearch struct {
	v         *verifier
	partition uint16
	source    source

	recent map[uint64]string // mailbox, by sequence number
	ring   []uint64          // of the keys of recent
	next   int
	silent map[string]int // messages, by session that has not reported yet
}

// gaps looks for records that a receipt was given for and that are not there.
func (v *verifier) gaps(ctx context.Context, p uint16) error {
	g := gapSearch{
		v: v, partition: p, source: v.client.sources[p],
		recent: make(map[uint64]string), ring: make([]uint64, 0, recentRecords), silent: make(map[string]int),
	}
	for r, err := range g.source.Records(ctx, 0) {
		if err != nil {
			return err
		}
		switch {
		case r.Kind != mail.KindEvent:
			g.delivered(r)
		case r.Event != nil && r.Event.Drain != nil:
			if err := g.reported(ctx, r.ID, r.Event.Drain); err != nil {
				return err
			}
		}
	}
	g.end()
	return nil
}

// delivered remembers a delivery.
func (g *gapSearch) delivered(r mail.Record) {
	if r.Erased {
		return
	}
	if len(g.ring) < recentRecords {
		g.ring = append(g.ring, r.ID.Seq)
	} else {
		delete(g.recent, g.ring[g.next])
		g.ring[g.next] = r.ID.Seq
		g.next = (g.next + 1) % recentRecords
	}
	g.recent[r.ID.Seq] = r.Delivery.Mailbox
	if r.Delivery.Session != "" {
		g.silent[r.Delivery.Session]++
	}
}

// reported compares the rows of a report with the records that they name.
func (g *gapSearch) reported(ctx context.Context, event mail.ID, d *mail.Drain) error {
	delete(g.silent, d.Session)
	for _, row := range d.Rows {
		if row.ID == nil {
			if row.Deleted {
				g.found(event, d, row, "was deleted on the server, and no record is named that has it")
			}
			continue
		}
		problem, err := g.holds(ctx, *row.ID, d.Mailbox)
		if err != nil {
			return err
		}
		if problem != "" {
			g.found(event, d, row, fmt.Sprintf("is record %s by its receipt, but %s", *row.ID, problem))
		}
	}
	return nil
}

// holds says what keeps a record from being what a receipt says.
func (g *gapSearch) holds(ctx context.Context, id mail.ID, mailbox string) (problem string, err error) {
	if id.Partition != g.partition {
		return fmt.Sprintf("the mailbox is in partition %d", g.partition), nil
	}
	has, ok := g.recent[id.Seq]
	if !ok {
		r, err := findRecord(ctx, g.source, id)
		if errors.Is(err, errErased) { // its header is there, and an event tells of its end
			return "", nil
		}
		switch mail.KindOf(err) {
		case mail.NotFound:
			return "the ledger has no message there", nil
		case mail.Corrupt:
			return "it cannot be read", nil
		}
		if err != nil {
			return "", err
		}
		has = r.Delivery.Mailbox
	}
	if has != mailbox {
		return fmt.Sprintf("that is a message of mailbox %s", has), nil
	}
	return "", nil
}

func (g *gapSearch) found(event mail.ID, d *mail.Drain, row mail.DrainRow, problem string) {
	g.v.found(Finding{
		Partition: g.partition, ID: &event, Where: "the report of session " + d.Session,
		Problem: fmt.Sprintf("message %d of mailbox %s (unique-id %q) %s", row.Number, d.Mailbox, row.UIDL, problem),
		Hint:    "look for the record in a backup of the archive; mailkeep show prints the report of the session",
	})
}

// end notes the sessions that sealed messages and never reported.
func (g *gapSearch) end() {
	if len(g.silent) == 0 {
		return
	}
	messages := 0
	for _, n := range g.silent {
		messages += n
	}
	some := slices.Sorted(maps.Keys(g.silent))
	some = some[:min(len(some), 3)]
	g.v.report.Notes = append(g.v.report.Notes, Finding{
		Partition: g.partition, Where: "reports of sessions",
		Problem: fmt.Sprintf("%d sessions left no report, such as %v: they were cut off, or go on; the %d messages that they sealed are here", len(g.silent), some, messages),
	})
}
