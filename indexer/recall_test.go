package indexer

import (
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/mail"
)

// Every record is found by its own words, in every shard, whatever its text is.
func TestRecallFindsAll(t *testing.T) {
	t.Parallel()
	l := corpus(250, 77)
	l.add("sales", &mail.Message{Subject: "Weiß 日本語のメール Åse", Text: strings.Repeat("x", 5000) + " e\u0301te\u0301 " + strings.Repeat("long words ", 10_000)})
	l.add("sales", &mail.Message{HTMLText: "only html", Text: strings.Repeat("ab ", maxText/3)})
	l.add("sales", &mail.Message{})
	x, _ := sharded(t, l, 60)
	o := newOracle(t, l)
	for _, r := range l.records {
		if !r.Searchable() {
			continue
		}
		if lost, err := x.Recall(t.Context(), r, o.msgs[r.ID.Seq]); len(lost) > 0 || err != nil {
			t.Errorf("%s: %v, error %v", r.ID, lost, err)
		}
	}
}

// What is wrong in the index is found, and said without the words of the message.
func TestRecallFindsWhatIsLost(t *testing.T) {
	t.Parallel()
	l := newLedger()
	good := &mail.Message{Subject: "subject", Text: "body text", From: people[:1], Parts: []mail.Part{{Role: mail.RoleAttachment, FileName: "file.pdf", Text: "attached"}}}
	r := l.add("sales", good)
	gone := l.add("sales", good)
	x := indexed(t, l)
	if err := x.serving.last().engine.change([]uint64{gone.ID.Seq}, nil); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		record mail.Record
		change func(m *mail.Message, r *mail.Record)
		want   string
	}{
		"nothing":  {r, func(*mail.Message, *mail.Record) {}, ""},
		"document": {gone, func(*mail.Message, *mail.Record) {}, "it is not in the index"},
		"mailbox":  {r, func(_ *mail.Message, r *mail.Record) { r.Delivery.Mailbox = "other" }, "its mailbox does not find it"},
		"subject":  {r, func(m *mail.Message, _ *mail.Record) { m.Subject = "another" }, "words of its subject do not find it"},
		"body":     {r, func(m *mail.Message, _ *mail.Record) { m.Text += " unseen" }, "words of its body do not find it"},
		"from":     {r, func(m *mail.Message, _ *mail.Record) { m.From = people[1:2] }, "words of its from do not find it"},
		"attached": {r, func(m *mail.Message, _ *mail.Record) { m.Parts[0].Text = "unseen" }, "words of its attachment do not find it"},
	} {
		m := *good
		m.Parts = []mail.Part{good.Parts[0]}
		rec := tc.record
		tc.change(&m, &rec)
		lost, err := x.Recall(t.Context(), rec, &m)
		if got := strings.Join(lost, "; "); err != nil || got != tc.want {
			t.Errorf("%s: %q, error %v", name, got, err)
		}
	}
}
