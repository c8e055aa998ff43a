package app

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/poller"
	"github.com/mailkeep/mailkeep/sink/catalog"
)

// Status tells the state of mailboxes, ledgers and views: as the running
// process sees it, or as the archive's files tell.
func (c *Client) Status(ctx context.Context) (StatusReport, error) {
	if err := c.openViews(ctx); err != nil {
		return StatusReport{}, err
	}
	if c.catalogDoor != nil {
		var r StatusReport
		err := c.catalogDoor.Status(ctx, &r)
		return r, err
	}
	all, err := c.offlineCatalogs()
	if err != nil {
		return StatusReport{}, err
	}
	parts, err := c.offline()
	if err != nil {
		return StatusReport{}, err
	}
	for i, p := range parts {
		p.catalog = all[i]
	}
	configured := c.cfg.Resolve()
	r, err := reportStatus(configured, parts)
	r.judge(configured)
	return r, err
}

// status is the report of a running process.
func (a *App) status(ctx context.Context) (StatusReport, error) {
	r, err := reportStatus(a.boxes, a.partitions)
	if err != nil {
		return r, err
	}
	due, err := a.due(ctx)
	if err != nil {
		return r, err
	}
	for i := range r.Mailboxes {
		if d, ok := due[r.Mailboxes[i].Name]; ok {
			r.Mailboxes[i].merge(d)
		}
	}
	r.judge(a.boxes)
	r.Store, r.Extraction = a.storeStatus(), a.reading.texts.status()
	depth, err := a.bus.Depth(ctx)
	if err == nil {
		r.Queue = &QueueStatus{Messages: depth.Messages, Octets: depth.Bytes + depth.Memory}
	}
	for i := range r.Partitions {
		r.Partitions[i].Log = a.logStatus(a.partitions[i])
		verified, damage := a.patrolStatus(i)
		r.Partitions[i].Verified = verified
		stored, unstored := a.partitions[i].spoolStatus()
		r.Partitions[i].Stored, r.Partitions[i].Immutable = stored, a.partitions[i].protectStatus()
		if err := errors.Join(a.bus.Healthy(), a.partitions[i].sink.Healthy(), damage, unstored); err != nil {
			r.Partitions[i].Problem = err.Error()
		}
	}
	return r, nil
}

// merge adds what the poller knows and the ledger does not: when the mailbox
// is due, what keeps it from being polled, and failures before login, which leave
// no event.
func (m *MailboxStatus) merge(d dueMailbox) {
	m.NextDue, m.Failures, m.Running, m.HostPaused = d.NextDue, d.Failures, d.Running, d.HostPaused
	m.Waits, m.DailyUsed, m.DailyLimit, m.CredentialsUntil = d.Waits, d.DailyUsed, d.DailyLimit, d.CredentialsUntil
	m.CredentialsOpen, m.BlastRadius, m.Lost = d.Credentials, cmp.Or(d.Blast, m.BlastRadius), max(m.Lost, d.Lost)
	newer := d.LastEnd.After(m.LastSession)
	if newer {
		m.LastSession = d.LastEnd
	}
	if newer && d.Outcome != "" { // else it was a session of another process, of which the ledger tells
		m.Outcome, m.Error, m.ErrorHint = d.Outcome, d.Error, d.Hint
		if d.HeldBy != nil {
			m.HeldBy = d.HeldBy
		}
		if d.Outcome == string(poller.OutcomeOK) { // the ledger learns of quiet ones later
			m.LastSuccess, m.BlastRadius = d.LastEnd, d.Blast
		}
	}
	if d.LastSuccess.After(m.LastSuccess) {
		m.LastSuccess = d.LastSuccess
	}
}

// judge sets the problems of the mailboxes.
func (r *StatusReport) judge(configured []configs.ResolvedMailbox) {
	want := make(map[string]expectation, len(configured))
	for _, m := range configured {
		want[m.Name] = expectation{m.Interval, m.Timetable}
	}
	for i := range r.Mailboxes {
		r.Mailboxes[i].judge(r.Time, want[r.Mailboxes[i].Name])
	}
}

func reportStatus(configured []configs.ResolvedMailbox, parts []*partition) (StatusReport, error) {
	r := StatusReport{Time: time.Now().UTC(), Mailboxes: []MailboxStatus{}}
	seen := map[string]bool{}
	hosts := map[string]string{}
	for _, m := range configured {
		hosts[m.Name] = m.Address
	}
	for _, p := range parts {
		ps := PartitionStatus{Partition: p.number, Records: p.source.Size(), Catalog: p.catalog.Cursor()}
		if p.index != nil {
			ps.Index = p.index.Position()
			state := p.index.State()
			ps.IndexMissing, ps.IndexBuilding = state.Missing, state.Building
			if !state.Checked.IsZero() {
				ps.IndexChecked = &state.Checked
			}
		}
		var err error
		if ps.Segments, ps.Octets, err = p.source.Usage(); err != nil {
			return r, err
		}
		r.Partitions = append(r.Partitions, ps)
		boxes, err := p.catalog.Mailboxes()
		if err != nil {
			return r, err
		}
		for _, b := range boxes {
			s, err := mailboxStatus(p.catalog, b)
			if err != nil {
				return r, err
			}
			s.Host, s.Configured = hosts[b.Mailbox], hosts[b.Mailbox] != ""
			seen[b.Mailbox] = true
			r.Mailboxes = append(r.Mailboxes, s)
		}
	}
	for name, host := range hosts {
		if !seen[name] {
			r.Mailboxes = append(r.Mailboxes, MailboxStatus{Name: name, Host: host, Configured: true})
		}
	}
	slices.SortFunc(r.Mailboxes, func(a, b MailboxStatus) int { return strings.Compare(a.Name, b.Name) })
	return r, nil
}

func mailboxStatus(k *catalog.Catalog, b catalog.MailboxStats) (MailboxStatus, error) {
	s := MailboxStatus{Name: b.Mailbox, Messages: b.Messages + b.References - b.Again, Octets: uint64(b.Octets)}
	d, _, err := k.LastDrain(b.Mailbox)
	if err != nil || d == nil {
		return s, err
	}
	s.LastSession, s.Outcome, s.Error = d.Ended, d.Outcome, d.Error
	s.Listed, s.Sealed, s.Deleted, s.Held = d.Listed, d.Sealed, d.Deleted, d.Held
	s.HeldBy, s.Lost, s.BlastRadius = heldByFate(d.Fates), lostIn(d), d.Breaker
	s.LastSuccess, s.Failures, err = lastSuccess(k, b.Mailbox)
	return s, err
}

// sessionsBack is how many reports are searched for the last success of a mailbox
// that fails.
const sessionsBack = 200

// lastSuccess returns the end of the last session that went well and left a
// report, and how many reports of failures followed it.
func lastSuccess(k *catalog.Catalog, mailbox string) (at time.Time, failures int, err error) {
	for n := 1; ; n = sessionsBack {
		drains, err := k.Drains(mailbox, n)
		i := slices.IndexFunc(drains, func(d catalog.SealedDrain) bool { return d.Outcome == string(poller.OutcomeOK) })
		switch {
		case err != nil:
			return time.Time{}, 0, err
		case i >= 0:
			return drains[i].Ended, i, nil
		case n == sessionsBack || len(drains) < n:
			return time.Time{}, len(drains), nil
		}
	}
}
