package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/mailkeep/mailkeep/mail"
)

const (
	serviceLookup = "lookup"
	lookupRows    = 500 // of one request at most
	rowOctets     = 100 // of a row as JSON, without its UIDL
)

type lookupRequest struct {
	Mailbox string         `json:"mailbox"`
	Rows    []mail.Listing `json:"rows"`
}

// A lookupAnswer has a null for each row that is not sealed.
type lookupAnswer struct {
	Receipts []*mail.Receipt `json:"receipts"`
}

// Lookup asks the archive which rows of a listing are sealed. The result has
// one receipt for each row, in order; the zero Receipt stands for "unknown".
// Large listings are asked in pages. mail.Temporary says that no archive
// answers.
func (b *Bus) Lookup(ctx context.Context, mailbox string, rows []mail.Listing) ([]mail.Receipt, error) {
	if _, err := tokenOf(mailbox); err != nil {
		return nil, err
	}
	found := make([]mail.Receipt, 0, len(rows))
	for limit := lookupRows; len(rows) > 0; {
		n := b.page(rows, limit)
		page, err := b.lookup(ctx, mailbox, rows[:n])
		if errors.Is(err, errAnswerTooLarge) && n > 1 {
			limit = n / 2
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, page...)
		rows = rows[n:]
	}
	return found, nil
}

// page returns how many rows fit into one request: at least one, limit at most.
func (b *Bus) page(rows []mail.Listing, limit int) int {
	room := int(b.nc.MaxPayload()) - headroom
	for i, r := range rows[:min(len(rows), limit)] {
		room -= rowOctets + (len(r.UIDL)+2)/3*4
		if room < 0 {
			return max(i, 1)
		}
	}
	return min(len(rows), limit)
}

func (b *Bus) lookup(ctx context.Context, mailbox string, rows []mail.Listing) ([]mail.Receipt, error) {
	body, err := json.Marshal(lookupRequest{mailbox, rows})
	if err != nil {
		return nil, fmt.Errorf("encode the lookup: %w", err)
	}
	text, err := b.request(ctx, serviceLookup, b.partition(mailbox), body)
	if err != nil {
		return nil, err
	}
	var a lookupAnswer
	if err := json.Unmarshal(text, &a); err != nil || len(a.Receipts) != len(rows) {
		return nil, mail.Errorf(mail.Temporary, "the archive's answer to a lookup does not fit its %d rows", len(rows))
	}
	found := make([]mail.Receipt, len(rows))
	for i, r := range a.Receipts {
		if r != nil {
			found[i] = *r
		}
	}
	return found, nil
}

// ServeLookup answers the lookups of a partition with f, which returns one
// receipt for each row and the zero Receipt for what it does not know. Several
// calls of f may run at once. stop ends the service and waits for them.
func (b *Bus) ServeLookup(ctx context.Context, partition uint16, f func(ctx context.Context, mailbox string, rows []mail.Listing) ([]mail.Receipt, error)) (stop func(), err error) {
	return b.serve(ctx, serviceLookup, partition, func(ctx context.Context, body []byte) ([]byte, error) {
		var q lookupRequest
		if err := json.Unmarshal(body, &q); err != nil {
			return nil, mail.Errorf(mail.Invalid, "unreadable lookup")
		}
		found, err := f(ctx, q.Mailbox, q.Rows)
		if err != nil {
			return nil, err
		}
		a := lookupAnswer{Receipts: make([]*mail.Receipt, len(found))}
		for i := range found {
			if found[i] != (mail.Receipt{}) {
				a.Receipts[i] = &found[i]
			}
		}
		return json.Marshal(a)
	})
}
