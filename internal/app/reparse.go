package app

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/indexer/query"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser"
)

// ParserVersion is the version of the parser of this program.
func ParserVersion() int { return parser.Version }

// Reparse reads messages again and puts what is made of them into the index, in
// the place of what was made before; the ledger stays as it is. A running
// process does it, if there is one. It may be interrupted and ordered again: what
// is done is done, and doing it twice changes nothing. Errors: mail.Invalid for
// an order without a condition or with one that cannot be.
func Reparse(ctx context.Context, c *configs.Config, o mail.ReparseOrder, console Console) (done mail.Reparsed, err error) {
	if _, err := reparseQuery(o, time.Now()); err != nil {
		return done, err
	}
	cl, err := Open(ctx, c, console)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, cl.Close()) }()
	tell := func(r mail.Reparsed) {
		if console.Progress != nil {
			console.Progress(Progress{Phase: PhaseReparse, Subject: "archive", Done: int64(r.Done), Total: int64(r.Found)})
		}
	}
	if cl.indexDoor != nil {
		return cl.indexDoor.Reparse(ctx, o, tell)
	}
	parts, err := cl.offline()
	if err != nil {
		return done, err
	}
	return reparse(ctx, parts, o, tell)
}

func (a *App) reparse(ctx context.Context, o mail.ReparseOrder, tell func(mail.Reparsed)) (mail.Reparsed, error) {
	return reparse(ctx, a.partitions, o, tell)
}

// reparse finds the messages of an order, all of them before it begins, so that
// those which are read again are found no matter what they become.
func reparse(ctx context.Context, parts []*partition, o mail.ReparseOrder, tell func(mail.Reparsed)) (mail.Reparsed, error) {
	q, err := reparseQuery(o, time.Now())
	if err != nil {
		return mail.Reparsed{}, err
	}
	var r mail.Reparsed
	found := make([][]mail.ID, len(parts))
	for i, p := range parts {
		seqs, err := p.index.Positions(ctx, q)
		if err != nil {
			return r, fmt.Errorf("partition %d: %w", p.number, err)
		}
		for _, seq := range seqs {
			found[i] = append(found[i], mail.ID{Partition: p.number, Seq: seq})
		}
		r.Found += uint64(len(seqs))
	}
	tell(r)
	if o.DryRun {
		return r, nil
	}
	var done atomic.Uint64
	for i, p := range parts {
		parse := func(ctx context.Context, rec mail.Record, raw mail.Raw) (*mail.Message, error) {
			m, err := p.reading.parse(ctx, rec, raw)
			tell(mail.Reparsed{Found: r.Found, Done: min(done.Add(1), r.Found)})
			return m, err
		}
		if err := p.index.Redo(ctx, p.source, parse, parser.EffectiveDate, found[i]); err != nil {
			return r, fmt.Errorf("partition %d: %w", p.number, err)
		}
		r.Done += uint64(len(found[i]))
	}
	tell(r)
	return r, nil
}

// reparseQuery makes the query of an order.
func reparseQuery(o mail.ReparseOrder, now time.Time) (*query.Query, error) {
	var all query.And
	switch {
	case o.OlderThan < 0 || o.OlderThan > parser.Version:
		return nil, mail.Errorf(mail.Invalid, "no mail can be read by a later parser than that of this program, which is version %d", parser.Version)
	case o.OlderThan > 0:
		for v := o.OlderThan; v <= parser.Version; v++ {
			all = append(all, query.Not{Node: query.Exact{Name: "parser", Value: strconv.Itoa(v)}})
		}
	}
	if o.Defect != "" {
		all = append(all, query.Exact{Name: "defect", Value: strings.ToLower(o.Defect)})
	}
	if o.Mailbox != "" {
		all = append(all, query.Exact{Name: "mailbox", Value: strings.ToLower(o.Mailbox)})
	}
	if strings.TrimSpace(o.Query) != "" {
		q, err := query.Parse(o.Query, query.Options{Now: now, Strict: true})
		if err != nil {
			return nil, err
		}
		if q.Root != nil {
			all = append(all, q.Root)
		}
	}
	if len(all) == 0 {
		return nil, mail.WithHint(mail.Errorf(mail.Invalid, "the order has no condition"), "to make the index of everything anew: mailkeep reindex")
	}
	return &query.Query{Root: all, Zone: time.UTC}, nil
}
