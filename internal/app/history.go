package app

import (
	"context"
	"slices"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/catalog"
)

// MaxHistory is how many sessions of a mailbox History can tell of; older ones
// are in the ledger, but no view lists them.
const MaxHistory = catalog.KeepDrains

// A History is what the archive knows of the sessions of a mailbox.
type History struct {
	Mailbox string `json:"mailbox"`
	// Configured says that the mailbox is in the configuration; one that is in
	// the archive only has a history too.
	Configured bool `json:"configured"`
	// Coverage tells how much of the ledger the answer rests on: a session that
	// was sealed behind the catalog's position is not in it.
	Coverage mail.Cursor `json:"coverage"`
	// Sessions are the reports, the latest first. Their rows are set only if the
	// messages were asked for.
	Sessions []SessionReport `json:"sessions"`
}

// A SessionReport is the drain event of one session, and the record of the
// ledger that holds it.
type SessionReport = catalog.SealedDrain

// History returns up to limit (1 to MaxHistory) sessions of the mailbox, the
// latest first, and with messages the fate of each message that they handled.
// mail.NotFound says that neither configuration nor archive has the mailbox.
func (c *Client) History(ctx context.Context, mailbox string, limit int, messages bool) (History, error) {
	h, err := c.history(ctx, mailbox, limit)
	if err != nil {
		return History{}, err
	}
	h.Configured = isConfigured(c.cfg, mailbox)
	if !h.Configured && len(h.Sessions) == 0 {
		return History{}, unknownMailbox(c.cfg, mailbox)
	}
	if messages {
		err = c.addRows(ctx, h.Sessions)
	}
	return h, err
}

func (c *Client) history(ctx context.Context, mailbox string, limit int) (h History, err error) {
	if c.catalogDoor != nil {
		err = c.catalogDoor.History(ctx, mailbox, limit, &h)
		return h, err
	}
	all, err := c.offlineCatalogs()
	if err != nil {
		return h, err
	}
	p := mail.Partition(mailbox, len(all))
	return historyOf(all[p], mail.Cursor{Partition: p, Size: c.sources[p].Size()}, mailbox, limit)
}

// history is what a running process answers.
func (a *App) history(mailbox string, limit int) (History, error) {
	p := a.partitions[mail.Partition(mailbox, len(a.partitions))]
	return historyOf(p.catalog, mail.Cursor{Partition: p.number, Size: p.source.Size()}, mailbox, limit)
}

func historyOf(k *catalog.Catalog, coverage mail.Cursor, mailbox string, limit int) (History, error) {
	if limit < 1 || limit > MaxHistory {
		return History{}, mail.Errorf(mail.Invalid, "%d sessions were asked for; 1 to %d are possible", limit, MaxHistory)
	}
	coverage.Position = k.Cursor()
	h := History{Mailbox: mailbox, Coverage: coverage}
	drains, err := k.Drains(mailbox, limit)
	h.Sessions = append([]SessionReport{}, drains...)
	return h, err
}

// addRows reads the fates of the messages from the ledger's records: the
// catalog keeps the reports without them.
func (c *Client) addRows(ctx context.Context, sessions []SessionReport) error {
	for i := range sessions {
		s, err := c.source(sessions[i].ID)
		if err != nil {
			return err
		}
		d, err := findDrain(ctx, s, sessions[i].ID)
		if err != nil {
			return err
		}
		sessions[i].Rows = d.Rows
	}
	return nil
}

// findDrain reads the report at id.
func findDrain(ctx context.Context, s source, id mail.ID) (*mail.Drain, error) {
	for r, err := range s.Records(ctx, id.Seq) {
		if err != nil {
			return nil, err
		}
		if r.ID != id || r.Event == nil || r.Event.Drain == nil {
			break
		}
		return r.Event.Drain, nil
	}
	return nil, mail.WithHint(mail.Errorf(mail.Corrupt, "the catalog has a session's report at %s, the ledger has none there", id),
		"run `mailkeep verify`; `mailkeep reindex` builds the catalog again")
}

func isConfigured(c *configs.Config, name string) bool {
	return slices.ContainsFunc(c.Mailboxes, func(m configs.Mailbox) bool { return m.Name == name })
}

func unknownMailbox(c *configs.Config, name string) error {
	err := mail.Errorf(mail.NotFound, "neither the configuration nor the archive has a mailbox by the name %q", name)
	if len(c.Mailboxes) == 0 {
		return mail.WithHint(err, "name the configuration file with --config")
	}
	return mail.WithHint(err, "the configuration has %s", someNames(c.Mailboxes))
}
