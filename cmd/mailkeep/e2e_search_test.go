package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/internal/app"
	"github.com/mailkeep/mailkeep/internal/bus/bustest"
	"github.com/mailkeep/mailkeep/internal/lab"
	"github.com/mailkeep/mailkeep/internal/web"
	"github.com/mailkeep/mailkeep/mail"
)

// TestSearchOverTheBus runs the roles in processes of their own, with a nats-server
// between: the process that has no index asks the one that has, and says so when there
// is none.
func TestSearchOverTheBus(t *testing.T) {
	boxes := []string{"anna", "bela"}
	d := lab.StartDovecot(t, boxes...)
	queue := bustest.SpawnServer(t)
	s := newSite(t, d, boxes, fmt.Sprintf("partitions: 2\npoll: {interval: 1s}\nnats: {url: %q, lease: 5s}\n", queue.URL))
	showLogs(t, s.dir)
	f := newFeeder(d, boxes)
	f.deliver(t, 12)
	role := func(name string, roles ...string) *mortal {
		return &mortal{t: t, start: func() *exec.Cmd {
			return logTo(t, s.command("run", "--role", strings.Join(roles, ",")), filepath.Join(s.dir, name+".log"))
		}}
	}
	keeper, index := role("keeper", "archive", "poller"), role("index", "index")
	keeper.spawn()
	index.spawn()
	await(t, "the mailboxes are empty", time.Minute, func() bool { return f.left(t) == 0 })
	socket := web.SocketPath(s.archive(), string(app.RoleArchive))
	ask := func(r mail.SearchRequest) (mail.SearchAnswer, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		c, err := web.NewClient(ctx, socket)
		if err != nil {
			return mail.SearchAnswer{}, err
		}
		defer c.Close()
		return c.Search(ctx, r)
	}
	var a mail.SearchAnswer
	all := mail.SearchRequest{Query: "larger:1", Facets: []string{"mailbox"}, Limit: 5, Evidence: true}
	await(t, "the index has everything", time.Minute, func() (ok bool) {
		var err error
		a, err = ask(all)
		return err == nil && a.Coverage.Complete && a.Total > 0
	})
	same := s.search("larger:1", 5)
	if len(a.Sets) != 2 || !slices.Equal(a.Sets, same.Sets) || a.Fingerprint != same.Fingerprint || len(a.Hits) != 5 || a.Hits[4].ID != same.Hits[4].ID {
		t.Errorf("over the bus %+v, from the index %+v", a, same)
	}
	counted := uint64(0)
	for _, v := range a.Facets[0].Values {
		counted += v.Count
	}
	if counted != a.Total {
		t.Errorf("%d of %d messages by mailbox: %+v", counted, a.Total, a.Facets)
	}
	out, _ := s.run(0, "search", "--csv", "--by", "relevance", "--limit", "200", "nummer1")
	if lines := strings.Count(out, "\n"); lines < 2 || !strings.HasPrefix(out, "id,date,") {
		t.Errorf("%q", out)
	}
	s.run(0, "verify", "--index")
	index.kill()
	await(t, "the search says that there is no index", time.Minute, func() bool { // the server may learn of it late
		_, err := ask(all)
		return mail.KindOf(err) == mail.Temporary && strings.Contains(mail.HintOf(err), "index role")
	})
	index.spawn()
	await(t, "the index answers again", time.Minute, func() bool {
		b, err := ask(all)
		return err == nil && b.Total == a.Total
	})
	index.terminate()
	keeper.terminate()
}
