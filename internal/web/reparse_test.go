package web

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/mailkeep/mailkeep/mail"
)

// The progress of an order comes while it runs, and its end whatever it is.
func TestReparse(t *testing.T) {
	t.Parallel()
	told := make(chan struct{})
	c := start(t, SocketPath(filepath.Join(t.TempDir(), "dir"), "index"), Service{
		Reparse: func(ctx context.Context, o mail.ReparseOrder, tell func(mail.Reparsed)) (mail.Reparsed, error) {
			tell(mail.Reparsed{Found: 5})
			select {
			case <-told: // by the client, before the order has ended
			case <-ctx.Done():
				return mail.Reparsed{}, ctx.Err()
			}
			if o.Query == "bad" {
				return mail.Reparsed{Found: 5, Done: 1}, mail.WithHint(mail.Errorf(mail.NoSpace, "full"), "free some")
			}
			return mail.Reparsed{Found: 5, Done: 5}, nil
		},
	})
	heard := func(r mail.Reparsed) {
		if r.Found == 5 && r.Done == 0 {
			told <- struct{}{}
		}
	}
	if r, err := c.Reparse(t.Context(), mail.ReparseOrder{Mailbox: "a"}, heard); err != nil || r.Done != 5 {
		t.Errorf("%+v, %v", r, err)
	}
	r, err := c.Reparse(t.Context(), mail.ReparseOrder{Query: "bad"}, heard)
	if mail.KindOf(err) != mail.NoSpace || mail.HintOf(err) != "free some" || r.Done != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := c.Reparse(ctx, mail.ReparseOrder{}, func(mail.Reparsed) { cancel() }); err == nil {
		t.Error("an order that was broken off went well")
	}
}
