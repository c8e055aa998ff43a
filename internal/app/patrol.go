package app

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/patrol"
)

// patrolDir holds how far the verification of each partition has come: derived
// state.
const patrolDir = "verify"

// startPatrols has the ledgers that this process owns verified again and again,
// unless that is switched off. They end before the ledgers do.
func (a *App) startPatrols(ctx context.Context) error {
	if !a.has(RoleArchive) || a.cfg.Verify.Every == 0 {
		return nil
	}
	state, err := durable.MakeDir(filepath.Join(a.dir.Path, patrolDir))
	if err != nil {
		return fmt.Errorf("make the directory of the verification: %w", err)
	}
	a.life.onStop("verification", func(context.Context) error { return state.Close() })
	all := make([]*patrol.Patrol, 0, len(a.partitions))
	for _, p := range a.partitions {
		one, err := a.newPatrol(p, state)
		if err != nil {
			return fmt.Errorf("partition %d: %w", p.number, err)
		}
		all = append(all, one)
	}
	a.patrols.Store(&all)
	for _, p := range all {
		a.life.work(ctx, "patrol", p.Run)
	}
	return nil
}

func (a *App) newPatrol(p *partition, state durable.FS) (*patrol.Patrol, error) {
	files, err := a.dir.ledger(p.number)
	if err != nil {
		return nil, err
	}
	a.life.onStop("verified ledger", func(context.Context) error { return files.Close() })
	return patrol.New(patrol.Options{
		Ledger: files, Archive: a.dir.Identity.UUID(), Partition: p.number, Size: p.ledger.Size,
		State: state, StateName: fmt.Sprintf("%04d.json", p.number),
		Every: time.Duration(a.cfg.Verify.Every), Rate: int64(a.cfg.Verify.Rate), Logger: a.log,
		Changed: func(findings int) { a.metrics.Findings(p.number, findings) },
		Record: func(ctx context.Context, v mail.Verify) error {
			return appendEvent(ctx, p, mail.Event{Type: mail.EventVerify, Verify: &v})
		},
	}), nil
}

// A PatrolStatus tells of the verification that goes on while the process runs.
type PatrolStatus struct {
	Chain    time.Time `json:"chain,omitzero"`  // when every header was verified last
	Bodies   time.Time `json:"bodies,omitzero"` // every octet was read since then
	Next     uint64    `json:"next"`            // record that is read next
	Findings int       `json:"findings"`        // of damage, that stand
}

// patrolStatus is nil if the i-th partition is not verified here.
func (a *App) patrolStatus(i int) (*PatrolStatus, error) {
	all := a.patrols.Load()
	if all == nil || i >= len(*all) {
		return nil, nil
	}
	s := (*all)[i].Status()
	out := &PatrolStatus{Chain: s.Chain, Bodies: s.Bodies, Next: s.Next, Findings: len(s.Findings)}
	if len(s.Findings) == 0 {
		return out, nil
	}
	f := s.Findings[0]
	return out, mail.Errorf(mail.Corrupt, "the ledger is damaged: %d findings, such as record %d at offset %d of %s: %s; run mailkeep verify, then mailkeep repair",
		len(s.Findings), f.Record, f.Offset, f.Segment, f.Problem)
}
