package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// alertEvery is how often it is looked whether something new was indexed.
const alertEvery = 2 * time.Second

// maxAlertOutput bounds what is kept of what an alert's program says, in octets.
const maxAlertOutput = 1 << 10

// An alerter looks for the saved searches in what is newly indexed. It is used by one
// goroutine.
//
// For each saved search and partition it keeps a position, durably: before it, all is
// told. What lies between it and the index's position is asked for, the alert is
// delivered, and the position is moved. Whenever the process dies, an alert that was not
// delivered is delivered later, and one that was may be once more.
type alerter struct {
	files   savedFiles
	parts   []*partition
	deliver func(context.Context, mail.Alert) error
	told    func(search string, found uint64, err error) // for metrics
	log     *slog.Logger

	backoff time.Duration // the first wait after a failure; 0: the next pass tries again
	late    map[lateKey]lateness
}

type lateKey struct {
	search    string
	partition uint16
}

// A lateness is when to try again after failures, each wait twice the one before.
type lateness struct {
	wait time.Duration
	next time.Time
}

// maxAlertWait bounds the wait after a failure.
const maxAlertWait = 5 * time.Minute

// startAlerts has the saved searches looked for in what is newly indexed.
func (a *App) startAlerts(ctx context.Context) error {
	if !a.has(RoleIndex) {
		return nil
	}
	files, err := a.dir.savedFiles()
	if err != nil {
		return fmt.Errorf("open the saved searches: %w", err)
	}
	a.life.onStop("saved searches", func(context.Context) error { return files.close() })
	w := &alerter{files: files, parts: a.partitions, told: a.metrics.Alert, log: a.log, deliver: a.deliverAlert,
		backoff: alertEvery, late: map[lateKey]lateness{}}
	a.life.work(ctx, "alerts", func(ctx context.Context) error {
		tick := time.NewTicker(alertEvery)
		defer tick.Stop()
		for {
			if err := w.pass(ctx); err != nil && ctx.Err() == nil {
				a.log.WarnContext(ctx, "saved searches cannot be read", slog.Any("error", err))
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	return nil
}

// pass looks once. A search that fails, or that cannot be read, keeps the others from
// nothing; it is tried again, with growing waits.
func (w *alerter) pass(ctx context.Context) error {
	all, unread := w.files.all()
	for _, s := range all {
		for _, p := range w.parts {
			key := lateKey{s.Name, p.number}
			if !s.Alert || ctx.Err() != nil || time.Now().Before(w.late[key].next) {
				continue
			}
			err := w.look(ctx, s, p)
			if err == nil {
				delete(w.late, key)
				continue
			}
			if ctx.Err() == nil {
				wait := max(w.backoff, min(2*w.late[key].wait, maxAlertWait))
				w.late[key] = lateness{wait, time.Now().Add(wait)}
				w.told(s.Name, 0, err)
				w.log.WarnContext(ctx, "the alert of a saved search is late", slog.String("search", s.Name), slog.Int("partition", int(p.number)), slog.Any("error", err))
			}
		}
	}
	return unread
}

// look delivers what is new to a search in a partition.
func (w *alerter) look(ctx context.Context, s mail.SavedSearch, p *partition) error {
	from, to := s.From[p.number], p.index.Position()
	if from >= to {
		return nil
	}
	total, hits, err := p.index.Since(ctx, mail.SearchRequest{Query: s.Query, Zone: s.Zone}, from, to, mail.MaxAlertHits)
	if err != nil {
		return err
	}
	if total > 0 {
		if err := w.deliver(ctx, mail.Alert{Search: s, Partition: p.number, From: from, To: to, Total: total, Hits: hits}); err != nil {
			return err
		}
		w.told(s.Name, total, nil)
		w.log.InfoContext(ctx, "new mail for a saved search", slog.String("search", s.Name), slog.Int("partition", int(p.number)), slog.Uint64("messages", total))
	}
	// If we die before this, the alert comes again.
	return w.files.tell(s, p.number, to)
}

// deliverAlert runs the configured program, if there is one.
func (a *App) deliverAlert(ctx context.Context, alert mail.Alert) error {
	if a.cfg.Search.AlertProgram == "" {
		return nil
	}
	return runAlert(ctx, a.cfg.Search.AlertProgram, time.Duration(a.cfg.Search.AlertTimeout), alert)
}

// runAlert runs a program, without a shell, arguments or our environment, with an alert
// as JSON on its standard input. It must end with status 0 in time.
func runAlert(ctx context.Context, program string, timeout time.Duration, alert mail.Alert) error {
	b, err := json.Marshal(alert)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	cmd.Stdin = bytes.NewReader(append(b, '\n'))
	out := &head{}
	cmd.Stdout, cmd.Stderr = io.Discard, out
	cmd.WaitDelay = time.Second // for what it has left behind with its pipes
	if err := cmd.Run(); err != nil {
		return mail.WithHint(mail.Errorf(mail.Temporary, "run %s: %w: %q", program, err, out.b), "it is tried again; the program must read JSON from standard input and exit with 0")
	}
	return nil
}

// A head keeps the beginning of what is written to it.
type head struct{ b []byte }

func (h *head) Write(p []byte) (int, error) {
	h.b = append(h.b, p[:min(len(p), maxAlertOutput-len(h.b))]...)
	return len(p), nil
}
