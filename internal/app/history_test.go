package app

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// The history is the same beside a running process as without one: the latest
// session first, with the fate of each message if that is asked for.
func TestHistory(t *testing.T) {
	p := newPlant(t, 3, "partitions: 2", "anna", "bela", "carl", "dora")
	p.drain(t)
	p.server.Mailboxes["anna"].Add(pop3test.Message{UIDL: "late", Raw: []byte("Subject: late\r\n\r\nx\r\n")})
	p.drain(t)

	alone := p.open(t)
	want := mustHistory(t, alone, "anna", true)
	checkHistory(t, want)
	if got := mustHistory(t, alone, "anna", false); len(got.Sessions) != 2 || got.Sessions[0].Rows != nil {
		t.Errorf("without messages: %+v", got.Sessions)
	}
	closeOK(t, alone)

	a, err := New(t.Context(), p.config, nil, console(t))
	if err != nil {
		t.Fatal(err)
	}
	beside := p.open(t)
	if diff := cmp.Diff(want, mustHistory(t, beside, "anna", true)); diff != "" || beside.catalogDoor == nil {
		t.Errorf("beside a running process: %s", diff)
	}
	if _, err := beside.History(t.Context(), "nobody", 1, true); mail.KindOf(err) != mail.NotFound || mail.HintOf(err) == "" {
		t.Errorf("unknown mailbox: %v", err)
	}
	if _, err := beside.History(t.Context(), "anna", 0, true); mail.KindOf(err) != mail.Invalid {
		t.Errorf("limit 0: %v", err)
	}
	closeOK(t, beside)
	if err := a.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func checkHistory(t *testing.T, h History) {
	t.Helper()
	if !h.Configured || h.Coverage.Position != h.Coverage.Size || h.Coverage.Size == 0 || len(h.Sessions) != 2 {
		t.Fatalf("%+v", h)
	}
	last, first := h.Sessions[0], h.Sessions[1]
	if len(last.Rows) != 1 || last.Rows[0].UIDL != "late" || !last.Rows[0].Deleted || last.Rows[0].ID == nil {
		t.Errorf("the latest session: %+v", last)
	}
	if len(first.Rows) != 3 || first.Deleted != 3 || first.ID.Seq >= last.ID.Seq || first.ID.Partition != mail.Partition("anna", 2) {
		t.Errorf("the first session: %+v", first)
	}
}

func mustHistory(t *testing.T, c *Client, mailbox string, messages bool) History {
	t.Helper()
	h, err := c.History(t.Context(), mailbox, 10, messages)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// A mailbox that was drained and is not configured any more keeps its history;
// one that is configured and was never polled has an empty one.
func TestHistoryOfOldAndNewMailboxes(t *testing.T) {
	p := newPlant(t, 1, "", "anna", "bela")
	if _, err := DrainOnce(t.Context(), p.config, []string{"anna"}, console(t)); err != nil {
		t.Fatal(err)
	}
	p.config.Mailboxes = p.config.Mailboxes[1:]
	c := p.open(t)
	defer closeOK(t, c)
	if h := mustHistory(t, c, "anna", true); h.Configured || len(h.Sessions) != 1 {
		t.Errorf("old: %+v", h)
	}
	if h := mustHistory(t, c, "bela", true); !h.Configured || h.Sessions == nil || len(h.Sessions) != 0 {
		t.Errorf("new: %+v", h)
	}
}
