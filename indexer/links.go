package indexer

import (
	"context"
	"log/slog"
	"path/filepath"

	"github.com/mailkeep/mailkeep/indexer/query"
	"github.com/mailkeep/mailkeep/indexer/threads"
	"github.com/mailkeep/mailkeep/mail"
)

// threadsFile is the table of threads, in the directory of the index.
const threadsFile = "threads.db"

func (x *Index) openThreads() (err error) {
	x.threads, err = threads.Open(filepath.Join(x.opts.Dir, threadsFile), x.opts.Logger)
	return err
}

// link adds the links of documents that are about to be committed, before them:
// so the threads know of every document, whenever we die. A table that turns out
// to be damaged is emptied, and filled again before anything else is indexed:
// whoever writes to the end of the index meanwhile is stopped for that.
func (w *writer) link(docs []*document, position uint64) error {
	from, table := w.engine.position, w.index.threads
	if w.grows == nil {
		position = 0 // what is before these documents may not be there
	}
	if err := w.index.mended(table.Add(from, position, linksOf(docs)...)); err != nil {
		return err
	}
	if at := table.Position(); at < position {
		return mail.Errorf(mail.Temporary, "the threads are at %d, they are filled first", at)
	}
	return nil
}

func linksOf(docs []*document) []threads.Link {
	links := make([]threads.Link, 0, len(docs))
	for _, d := range docs {
		if d.link != nil {
			links = append(links, *d.link)
		}
	}
	return links
}

// mended empties the table of threads if err says that it is damaged, and
// returns err.
func (x *Index) mended(err error) error {
	if mail.KindOf(err) != mail.Corrupt {
		return err
	}
	x.opts.Logger.Error("table of threads damaged, filled again from the ledger", x.opts.logPartition(), slog.Any("error", err))
	if err := x.threads.Reset(); err != nil {
		return err
	}
	return mail.Errorf(mail.Temporary, "the threads are filled again: %w", err)
}

// linkUp fills the table of threads from the ledger until it is where the engine
// is. It has something to do after the table alone was lost.
func (x *Index) linkUp(ctx context.Context, p pump, e *engine) error {
	if x.threads.Position() >= e.position {
		return nil
	}
	x.opts.Logger.Info("filling the table of threads", x.opts.logPartition(), slog.Uint64("from", x.threads.Position()), slog.Uint64("to", e.position))
	p.endless, p.progress, p.committed = false, nil, nil
	p.from, p.target = x.threads.Position(), e.position
	return x.pumpTo(ctx, p, &writer{index: x, engine: e, keep: true, linksOnly: true, linked: p.from})
}

// Thread returns the positions of the messages in the thread of the one at a
// position, ascending, and whether there are more than limit (at most
// threads.MaxMembers); nil for one that is not indexed.
func (x *Index) Thread(seq uint64, limit int) (seqs []uint64, more bool, err error) {
	return x.threads.Members(seq, limit)
}

// thread gives the messages that thread: stands for: those in the thread of the
// message that an id such as 0-1234 names, or of a Message-ID.
func (x *Index) thread(n query.Exact) (query.Node, error) {
	seq, ok, err := x.threadOf(n.Value)
	if err != nil || !ok {
		return nil, err
	}
	seqs, more, err := x.threads.Members(seq, 0)
	if err != nil || seqs == nil {
		return nil, err
	}
	if more {
		return nil, mail.WithHint(mail.Errorf(mail.Invalid, "%s:%s stands for more than %d messages", n.Name, n.Value, threads.MaxMembers),
			"search for it by subject: and participants:")
	}
	return query.Records{For: n, Seqs: seqs}, nil
}

func (x *Index) threadOf(value string) (seq uint64, ok bool, err error) {
	if id, err := mail.ParseID(value); err == nil {
		return id.Seq, id.Partition == x.opts.Partition, nil
	}
	return x.threads.RootOf(value)
}

// addThreads sets the threads of hits. They are an addition: without them the
// hits stand.
func (x *Index) addThreads(hits []mail.Hit) {
	seqs := make([]uint64, len(hits))
	for i := range hits {
		seqs[i] = hits[i].ID.Seq
	}
	roots, err := x.threads.Roots(seqs)
	if err != nil {
		x.opts.Logger.Warn("no threads for hits", x.opts.logPartition(), slog.Any("error", err))
		return
	}
	for i := range hits {
		hits[i].Thread = &mail.ID{Partition: x.opts.Partition, Seq: roots[i]}
	}
}
