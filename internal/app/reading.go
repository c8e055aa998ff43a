package app

import (
	"context"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser"
	"github.com/mailkeep/mailkeep/parser/envelope"
)

// A reading makes messages of records: by the parser, and by what the
// configuration says of the mailbox that each came from. Whoever indexes, shows
// or searches reads the same way. It may be used by many goroutines at once.
type reading struct {
	rules map[string]envelope.Rules // by mailbox; those left out ask for nothing
	texts *texts                    // of attached documents; nil: they are not read
}

func newReading(boxes []configs.ResolvedMailbox) *reading {
	d := &reading{rules: map[string]envelope.Rules{}}
	for _, b := range boxes {
		e := b.Envelope
		r := envelope.Rules{Journal: b.Journal, Header: e.Header, Occurrence: e.Occurrence, StripPrefix: e.StripPrefix, Encoded: e.Encoded, ReceivedBy: e.ReceivedBy}
		if r.Ask() {
			d.rules[b.Name] = r
		}
	}
	return d
}

// with returns a reading that is the same but for what reads documents.
func (d *reading) with(x *texts) *reading { return &reading{rules: d.rules, texts: x} }

// parse is the parser as the indexer takes it.
func (d *reading) parse(ctx context.Context, rec mail.Record, raw mail.Raw) (*mail.Message, error) {
	m, err := d.structure(rec, raw)
	if err != nil || d.texts == nil {
		return m, err
	}
	if err := d.texts.add(ctx, m, raw); err != nil {
		return nil, err
	}
	return m, nil
}

// structure is parse without the texts of attached documents.
func (d *reading) structure(rec mail.Record, raw mail.Raw) (*mail.Message, error) {
	return envelope.Read(raw, raw.Size(), parser.DefaultLimits(), d.rules[rec.Delivery.Mailbox])
}

// open opens and parses the message of a record.
func (d *reading) open(ctx context.Context, s source, rec mail.Record) (m *mail.Message, err error) {
	raw, err := s.Raw(ctx, rec.Body())
	if err != nil {
		return nil, err
	}
	defer func() { err = joinClose(err, raw) }()
	return d.parse(ctx, rec, raw)
}

// message finds a record and reads its message.
func (d *reading) message(ctx context.Context, s source, id mail.ID) (mail.Record, *mail.Message, error) {
	rec, err := findRecord(ctx, s, id)
	if err != nil {
		return mail.Record{}, nil, err
	}
	m, err := d.open(ctx, s, rec)
	return rec, m, err
}

// indexed is parse for the indexer of a running process, which counts what
// mailboxes that tell of envelopes were found to tell.
func (a *App) indexed(ctx context.Context, rec mail.Record, raw mail.Raw) (*mail.Message, error) {
	m, err := a.reading.parse(ctx, rec, raw)
	if err != nil {
		return nil, err
	}
	if _, asked := a.reading.rules[rec.Delivery.Mailbox]; asked {
		a.metrics.Envelope(envelopeFound(m))
	}
	return m, nil
}

// envelopeFound names what was found, as the metric has it.
func envelopeFound(m *mail.Message) string {
	switch e := m.Envelope; {
	case e != nil && e.Source == envelope.Journal:
		return "journal"
	case e != nil:
		return "field"
	}
	for _, d := range m.Defects {
		if d.Code == "JOURNAL_UNPARSED" {
			return "unparsed"
		}
	}
	return "none"
}
