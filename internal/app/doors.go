package app

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/mailkeep/mailkeep/internal/web"
	"github.com/mailkeep/mailkeep/mail"
)

// openDoors serves the control sockets of the roles that own something in the
// archive's directory, and the health and metrics pages if they are wanted.
func (a *App) openDoors(ctx context.Context) error {
	handler := web.Control(a.service())
	for _, r := range []Role{RoleArchive, RoleIndex} {
		if !a.has(r) {
			continue
		}
		l, err := a.listen(ctx, r)
		if err != nil {
			return err
		}
		a.life.onStop("socket", web.Serve(context.WithoutCancel(ctx), l, handler).Stop)
	}
	if a.cfg.HTTP.Listen == "" {
		return nil
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", a.cfg.HTTP.Listen)
	if err != nil {
		return mail.WithHint(fmt.Errorf("listen for health and metrics: %w", err), "set http.listen to a free address, or leave it out")
	}
	h := web.Public(a.health.Healthz(), a.health.Readyz(), a.metrics.Handler())
	a.life.onStop("health and metrics", web.Serve(context.WithoutCancel(ctx), l, h).Stop)
	return nil
}

// service answers the control routes with what this process owns.
func (a *App) service() web.Service {
	var s web.Service
	s.Search = a.search
	if a.has(RoleIndex) {
		s.IndexSummary = func(ctx context.Context, n uint16) (mail.ViewSummary, error) {
			p, err := a.partition(n)
			if err != nil {
				return mail.ViewSummary{}, err
			}
			return p.index.Summary(ctx)
		}
		s.IndexDocuments = a.indexDocuments
		s.Reparse, s.Recall = a.reparse, a.recall
	}
	if a.has(RoleArchive) {
		s.Status = func(ctx context.Context) (any, error) { return a.status(ctx) }
		s.History = func(_ context.Context, mailbox string, limit int) (any, error) { return a.history(mailbox, limit) }
		s.Hold, s.Matters, s.Erase = a.hold, a.matters, a.erase
		s.CatalogSummary = func(_ context.Context, n uint16) (mail.ViewSummary, error) {
			p, err := a.partition(n)
			if err != nil {
				return mail.ViewSummary{}, err
			}
			return p.catalog.Summary()
		}
	}
	if a.has(RolePoller) {
		s.Reset = a.reset
		s.Probe = func(ctx context.Context, mailbox string, force bool) (any, error) {
			return a.probe(ctx, mailbox, force)
		}
	}
	return s
}

func (a *App) partition(n uint16) (*partition, error) {
	if int(n) >= len(a.partitions) {
		return nil, mail.Errorf(mail.NotFound, "there is no partition %d", n)
	}
	return a.partitions[n], nil
}

func (a *App) indexDocuments(ctx context.Context, n uint16, yield func(uint64) bool) error {
	p, err := a.partition(n)
	if err != nil {
		return err
	}
	for seq, err := range p.index.Documents(ctx) {
		if err != nil {
			return err
		}
		if !yield(seq) {
			return nil
		}
	}
	return nil
}

// search asks all partitions: those whose index is not here in the process that
// has it, over the bus.
func (a *App) search(ctx context.Context, r mail.SearchRequest) (mail.SearchAnswer, error) {
	parts := searchers(a.partitions)
	for i, p := range a.partitions {
		if p.index == nil {
			parts[i] = func(ctx context.Context, r mail.SearchRequest) (mail.SearchAnswer, error) {
				return a.bus.Search(ctx, p.number, r)
			}
		}
	}
	return searchPartitions(ctx, parts, r, a.cfg.Search.MaxLimit, time.Duration(a.cfg.Search.Timeout))
}
