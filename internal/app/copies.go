package app

import (
	"context"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser/envelope"
)

// Copies are the deliveries of one message: copies of it, and the journal
// reports about it.
type Copies struct {
	IDs []mail.ID `json:"ids"` // newest first; the one that was asked about is among them
	// More says that there are others beside IDs.
	More bool `json:"more,omitempty"`
	// Envelope is what all of IDs tell together of whom it was for; nil if none does.
	Envelope *mail.Envelope `json:"envelope,omitempty"`
}

// Copies finds the deliveries of the message m, which is in the archive as id, by
// mail.Message.Copy. There are at least itself, and at most those of one page of
// a search.
func (c *Client) Copies(ctx context.Context, id mail.ID, m *mail.Message) (Copies, error) {
	out := Copies{IDs: []mail.ID{id}, Envelope: m.Envelope}
	if m.Copy.IsZero() {
		return out, nil
	}
	a, err := c.Search(ctx, mail.SearchRequest{Query: "copy:" + m.Copy.String(), Limit: c.cfg.Search.MaxLimit})
	if err != nil {
		return out, err
	}
	envelopes := []*mail.Envelope{m.Envelope}
	others := make([]mail.ID, 0, len(a.Hits))
	for _, h := range a.Hits {
		others = append(others, h.ID)
		if h.ID == id {
			continue
		}
		e, err := c.envelopeOf(ctx, h.ID)
		if err != nil {
			return out, err
		}
		envelopes = append(envelopes, e)
	}
	if len(others) > 0 { // else the index has not come to it
		out.IDs = others
	}
	out.More, out.Envelope = a.Next != "", envelope.Unite(envelopes)
	return out, nil
}

func (c *Client) envelopeOf(ctx context.Context, id mail.ID) (*mail.Envelope, error) {
	s, err := c.source(id)
	if err != nil {
		return nil, err
	}
	rec, err := findRecord(ctx, s, id)
	if err != nil {
		return nil, err
	}
	if _, asked := c.reading.rules[rec.Delivery.Mailbox]; !asked {
		return nil, nil
	}
	raw, err := s.Raw(ctx, rec.Body())
	if err != nil {
		return nil, err
	}
	m, err := c.reading.structure(rec, raw)
	if err = joinClose(err, raw); err != nil {
		return nil, err
	}
	return m.Envelope, nil
}
