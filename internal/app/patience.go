package app

import (
	"context"
	"time"

	"github.com/mailkeep/mailkeep/internal/web"
	"github.com/mailkeep/mailkeep/mail"
)

// How long a process waits for a view that another one holds: a command that reads
// an archive without a running process, or a process that is just starting. Neither
// holds it for long.
const (
	viewPatience = 5 * time.Second
	viewPause    = 50 * time.Millisecond
)

// patiently opens something that another process may hold for a moment. stop, asked
// between two tries, says that waiting is of no use.
func patiently(ctx context.Context, stop func() bool, open func() error) error {
	limit := time.NewTimer(viewPatience)
	defer limit.Stop()
	tick := time.NewTicker(viewPause)
	defer tick.Stop()
	for {
		err := open()
		if mail.KindOf(err) != mail.InUse || stop() {
			return err
		}
		select {
		case <-tick.C:
		case <-limit.C:
			return err
		case <-ctx.Done():
			return err
		}
	}
}

// answered reports whether a process with the role answers: it holds its views for
// good.
func (d *directory) answered(ctx context.Context, r Role) bool {
	c, err := web.DialSocket(ctx, web.SocketPath(d.Path, string(r)))
	if err != nil {
		return false
	}
	c.Close() //nolint:errcheck // it was only a question
	return true
}

// openViews opens catalogs and indexes, or finds that a process has come up meanwhile
// that is to be asked in place.
func (c *Client) openViews(ctx context.Context) error {
	if c.catalogDoor != nil {
		return nil
	}
	stop := func() bool {
		if d, err := door(ctx, c.dir, RoleArchive); err == nil && d != nil {
			c.catalogDoor = d
		}
		return c.catalogDoor != nil
	}
	err := patiently(ctx, stop, func() error {
		if _, err := c.offlineCatalogs(); err != nil {
			return err
		}
		_, err := c.offline()
		return err
	})
	if c.catalogDoor != nil {
		return nil
	}
	return err
}
