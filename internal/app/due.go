package app

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"time"
)

// A dueMailbox is what a poller tells of a mailbox, in its own process or over
// the bus.
type dueMailbox struct {
	Name        string         `json:"name"`
	LastEnd     time.Time      `json:"last_end,omitzero"`
	LastSuccess time.Time      `json:"last_success,omitzero"`
	NextDue     time.Time      `json:"next_due,omitzero"`
	Running     bool           `json:"running,omitempty"`
	Outcome     string         `json:"outcome,omitempty"`
	Error       string         `json:"error,omitempty"`
	Hint        string         `json:"hint,omitempty"`
	Failures    int            `json:"failures,omitempty"`
	HeldBy      map[string]int `json:"held_by,omitempty"`
	Lost        int            `json:"lost,omitempty"`
	Credentials bool           `json:"credentials,omitempty"` // that breaker is open
	// CredentialsUntil is when it half opens; zero if only another secret closes it.
	CredentialsUntil time.Time `json:"credentials_until,omitzero"`
	Blast            string    `json:"blast,omitempty"` // why that breaker is open
	HostPaused       time.Time `json:"host_paused,omitzero"`
	Waits            string    `json:"waits,omitempty"` // as poller.Wait
	DailyUsed        int64     `json:"daily_used,omitempty"`
	DailyLimit       int64     `json:"daily_limit,omitempty"`
}

const (
	// duePiece is how many mailboxes one answer of a poller tells of.
	duePiece = 200
	// askPollers is how long pollers in other processes are given to answer.
	askPollers = 500 * time.Millisecond
)

// ownDue is what this process's poller knows.
func (a *App) ownDue() []dueMailbox {
	all := a.poller.Status()
	out := make([]dueMailbox, len(all))
	for i, m := range all {
		last := a.seen.of(m.Name)
		out[i] = dueMailbox{
			Name: m.Name, LastEnd: m.LastEnd, LastSuccess: m.LastSuccess, NextDue: m.NextDue, Waits: string(m.Waits), Running: m.Running,
			Outcome: string(m.Outcome), Error: m.Error, Hint: m.Hint, Failures: m.Failures, HeldBy: last.held, Lost: last.lost,
			Credentials: m.Blocked, CredentialsUntil: m.BreakerUntil, Blast: last.why, HostPaused: m.HostPaused,
			DailyUsed: m.DailyUsed, DailyLimit: m.DailyLimit,
		}
	}
	return out
}

// tellDue answers the archive's questions for this process's mailboxes.
func (a *App) tellDue() [][]byte {
	var pieces [][]byte
	for part := range slices.Chunk(a.ownDue(), duePiece) {
		b, err := json.Marshal(part)
		if err != nil {
			a.log.Error("cannot tell the mailboxes' state", slog.Any("error", err))
			return nil
		}
		pieces = append(pieces, b)
	}
	return pieces
}

// due returns what pollers know, by mailbox. Of several pollers that share the
// mailboxes, the one that polled last knows best when it failed, and the one
// that polls next when it is due.
func (a *App) due(ctx context.Context) (map[string]dueMailbox, error) {
	known := map[string]dueMailbox{}
	if a.has(RolePoller) {
		if a.opened.Load() {
			for _, m := range a.ownDue() {
				known[m.Name] = m
			}
		}
		return known, nil
	}
	pieces, err := a.bus.AskPollers(ctx, askPollers)
	if err != nil {
		return nil, err
	}
	for _, piece := range pieces {
		var part []dueMailbox
		if err := json.Unmarshal(piece, &part); err != nil {
			a.log.WarnContext(ctx, "a poller's answer cannot be read", slog.Any("error", err))
			continue
		}
		for _, m := range part {
			known[m.Name] = joinDue(known[m.Name], m)
		}
	}
	return known, nil
}

func joinDue(a, b dueMailbox) dueMailbox {
	if a.Name == "" {
		return b
	}
	if a.LastEnd.After(b.LastEnd) {
		a, b = b, a
	}
	if !a.NextDue.IsZero() && (b.NextDue.IsZero() || a.NextDue.Before(b.NextDue)) {
		b.NextDue = a.NextDue
	}
	return b
}
