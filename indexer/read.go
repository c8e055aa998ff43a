package indexer

import (
	"context"
	"log/slog"
	"time"

	"github.com/mailkeep/mailkeep/indexer/threads"
	"github.com/mailkeep/mailkeep/mail"
)

const (
	readTries = 4
	readWait  = 100 * time.Millisecond // before the second try; doubles
)

// document makes the document of a record. A message that cannot be read
// becomes one that says so: the error is only ever ctx's.
func (p *pump) document(ctx context.Context, r mail.Record, made *analysis) (*document, error) {
	var msg *mail.Message
	var doc *document
	err := p.retry(ctx, func() error {
		return guard(func() (err error) {
			if msg, err = p.message(ctx, r); err != nil {
				return err
			}
			date := p.dateOf(msg, r)
			doc = newDocument(made, r, msg, date)
			doc.link = new(threads.LinkOf(r.ID.Seq, msg, date))
			return nil
		})
	})
	if err == nil {
		return doc, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	p.opts.Logger.Error("message unreadable, indexed without its text", p.opts.logPartition(),
		slog.String("id", r.ID.String()), slog.String("body", r.Body().String()), slog.Any("error", err))
	return newDocument(made, r, nil, r.Delivery.Fetched), nil
}

// retry calls read until it succeeds or trying again is of no use.
func (p *pump) retry(ctx context.Context, read func() error) error {
	wait := readWait
	for try := 1; ; try++ {
		err := read()
		kind := mail.KindOf(err)
		if err == nil || try == readTries || kind == mail.Corrupt || kind == mail.NotFound {
			return err
		}
		if !pause(ctx, wait) {
			return err
		}
		wait *= 2
	}
}

func (p *pump) message(ctx context.Context, r mail.Record) (*mail.Message, error) {
	raw, err := p.src.Raw(ctx, r.Body())
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	return p.parse(ctx, r, raw)
}

func (p *pump) dateOf(msg *mail.Message, r mail.Record) time.Time {
	d, _ := p.date(msg, r.Delivery.Fetched)
	return d
}
