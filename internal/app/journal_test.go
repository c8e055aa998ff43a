package app

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// journaling makes a plant whose mailbox "journal" gets two reports of one
// message, and whose mailbox "office" gets a report that somebody forged.
func journaling(t *testing.T) *plant {
	t.Helper()
	p := newPlant(t, 1, "", "journal", "office")
	for _, name := range []string{"exchange", "split"} {
		p.deliver(t, "journal", name, strings.NewReplacer("\n", "\r\n"))
	}
	p.deliver(t, "office", "exchange", strings.NewReplacer("\n", "\r\n", "dora@", "mallory@", "report-1@", "forged@"))
	p.config.Mailboxes[0].Mode = configs.ModeJournal
	return p
}

func (p *plant) deliver(t *testing.T, box, fixture string, change *strings.Replacer) {
	t.Helper()
	b, err := os.ReadFile("../../parser/envelope/testdata/" + fixture + ".eml")
	if err != nil {
		t.Fatal(err)
	}
	m := p.server.Mailboxes[box]
	m.Messages = append(m.Messages, pop3test.Message{UIDL: box + fixture, Raw: []byte(change.Replace(string(b)))})
}

func (p *plant) find(t *testing.T, query string) []mail.Hit {
	t.Helper()
	cl := p.open(t)
	defer closeOK(t, cl)
	a, err := cl.Search(t.Context(), mail.SearchRequest{Query: query})
	if err != nil {
		t.Fatal(err)
	}
	return a.Hits
}

// A Bcc recipient of a journaled message is found and shown as such; a forged
// report in another mailbox is an ordinary mail.
func TestJournaling(t *testing.T) {
	p := journaling(t)
	p.drain(t)
	if left := p.left(); left != 0 {
		t.Errorf("%d messages are left on the server", left)
	}
	for query, want := range map[string]int{
		"bcc:dora@example.org": 1, "bcc:heidi@example.org": 1, "to:greta@example.net": 1, "participants:fritz@example.org": 1,
		"cc:clara@example.org": 1, "from:anna@example.org figures": 2, "bcc:mallory@example.org": 0, "is:journal": 2,
		"defect:ENVELOPE_UNKNOWN": 1, "defect:JOURNAL_UNPARSED": 0, "to:journal@archive.example.net mailbox:journal": 0,
	} {
		if hits := p.find(t, query); len(hits) != want {
			t.Errorf("%s: %d hits, want %d", query, len(hits), want)
		}
	}
	hit := p.find(t, "bcc:dora@example.org")[0]
	if hit.Subject != "Quarterly numbers" || !strings.Contains(hit.From, "anna@example.org") || !slices.Equal(hit.Attachments, []string{"figures.csv"}) {
		t.Errorf("the hit is not the message in the report: %+v", hit)
	}
	cl := p.open(t)
	defer closeOK(t, cl)
	_, m, err := cl.Message(t.Context(), hit.ID)
	if err != nil {
		t.Fatal(err)
	}
	copies, err := cl.Copies(t.Context(), hit.ID, m)
	if err != nil {
		t.Fatal(err)
	}
	hidden := 0
	for _, r := range copies.Envelope.Recipients {
		if r.Role == "bcc" {
			hidden++
		}
	}
	if len(copies.IDs) != 2 || copies.More || hidden != 2 {
		t.Errorf("copies %v, recipients %+v", copies.IDs, copies.Envelope.Recipients)
	}
}

// A mailbox is marked late, and unmarked again: reading its mail again makes the
// index what it is from the beginning, offline and through a running process.
func TestReparse(t *testing.T) {
	p := journaling(t)
	p.config.Mailboxes[0].Mode = ""
	p.drain(t)
	hidden := func(want int) {
		t.Helper()
		if hits := p.find(t, "bcc:dora@example.org"); len(hits) != want {
			t.Fatalf("%d messages to the hidden recipient, want %d", len(hits), want)
		}
	}
	hidden(0)
	p.config.Mailboxes[0].Mode = configs.ModeJournal
	order := mail.ReparseOrder{Mailbox: "journal", DryRun: true}
	again := func(want mail.Reparsed) {
		t.Helper()
		done, err := Reparse(t.Context(), p.config, order, console(t))
		if err != nil || done != want {
			t.Fatalf("%+v: %+v, %v", order, done, err)
		}
	}
	again(mail.Reparsed{Found: 3})
	hidden(0)
	order.DryRun = false
	again(mail.Reparsed{Found: 3, Done: 3})
	hidden(1)
	before := p.summary(t)
	again(mail.Reparsed{Found: 3, Done: 3})
	if after := p.summary(t); after != before {
		t.Errorf("reading again what is up to date made %+v of %+v", after, before)
	}
	if err := Reindex(t.Context(), p.config, console(t)); err != nil {
		t.Fatal(err)
	}
	if after := p.summary(t); after != before {
		t.Errorf("reindex makes %+v, reparse made %+v", after, before)
	}

	p.config.Mailboxes[0].Mode = ""
	a, err := New(t.Context(), p.config, nil, console(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	order.Query, order.Mailbox = "is:journal", ""
	again(mail.Reparsed{Found: 2, Done: 2})
	hidden(0)
	order.Query = "from:("
	if _, err := Reparse(t.Context(), p.config, order, console(t)); mail.KindOf(err) != mail.Invalid {
		t.Errorf("a faulty query: %v", err)
	}
	for _, o := range []mail.ReparseOrder{{}, {OlderThan: ParserVersion() + 1}, {OlderThan: -1}} {
		if _, err := Reparse(t.Context(), p.config, o, console(t)); mail.KindOf(err) != mail.Invalid {
			t.Errorf("%+v: %v", o, err)
		}
	}
	order = mail.ReparseOrder{OlderThan: ParserVersion()}
	again(mail.Reparsed{})
}

func (p *plant) summary(t *testing.T) mail.ViewSummary {
	t.Helper()
	cl := p.open(t)
	defer closeOK(t, cl)
	parts, err := cl.offline()
	if err != nil {
		t.Fatal(err)
	}
	s, err := parts[0].index.Summary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}
