package app

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/keys"
	"github.com/mailkeep/mailkeep/sink/store"
)

// TestClassesOfTheWholeLine: mail is sealed under the classes of its day. Another
// configuration cannot take back what they promised, but lengthens it.
func TestClassesOfTheWholeLine(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "kek")
	if err := keys.GenerateKEKFile(file); err != nil {
		t.Fatal(err)
	}
	p := newPlant(t, 3, fmt.Sprintf(`encryption: {key_file: %q}
retention:
  classes: [{name: tax, period: 10y, start: end-of-year}, {name: news, period: 1d}]
  rules: [{class: tax, mailboxes: "An*"}, {class: news, from: "@example.org"}, {class: tax, list: no.example.org}]`, file), "anna", "bert")
	p.drain(t)
	ids := map[string]mail.ID{}
	c := p.open(t)
	for _, box := range []string{"anna", "bert"} {
		a, err := c.Search(t.Context(), mail.SearchRequest{Query: "mailbox:" + box})
		if err != nil || len(a.Hits) != 3 {
			t.Fatal(err, a.Hits)
		}
		ids[box] = a.Hits[0].ID
		rec, _, err := c.Message(t.Context(), ids[box])
		class := map[string]mail.Class{"anna": {Name: "tax", Years: 10, EndOfYear: true}, "bert": {Name: "news", Days: 1}}[box]
		if class.Rules = rec.Delivery.Class.Rules; err != nil || len(class.Rules) != 8 || rec.Delivery.Class != class {
			t.Errorf("%s: %v, class %+v", box, err, rec.Delivery.Class)
		}
	}
	for query, want := range map[string]int{"class:tax": 3, "class:News subject:bert": 3, "class:none": 0, "-class:tax everywhere": 3} {
		if got := pages(t, c, query, 2); len(got) != want {
			t.Errorf("%s finds %q, want %d", query, got, want)
		}
	}
	closeOK(t, c)
	refused := func(what, box, says string) {
		t.Helper()
		_, err := Erase(t.Context(), p.config, mail.EraseOrder{Records: []mail.ID{ids[box]}, Reason: "r", DryRun: true}, console(t))
		if mail.KindOf(err) != mail.Denied || !strings.Contains(fmt.Sprint(err), says) {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("as configured", "anna", "-01-01, in the class tax")
	refused("as configured", "bert", "in the class news")
	p.config.Retention.Classes[0].Period = "1d"
	refused("shortened", "anna", "-01-01, in the class tax")
	p.config.Retention.Classes[1].Period = "90y"
	refused("lengthened", "bert", "retained until 21")
	p.config.Retention = configs.Keeping{}
	refused("removed", "anna", "-01-01, in the class tax")
	order := mail.EraseOrder{Records: []mail.ID{ids["anna"]}, Reason: "r", DespiteRetention: true}
	if done, err := Erase(t.Context(), p.config, order, console(t)); err != nil || done.Keys != 1 {
		t.Errorf("despite retention: %+v, %v", done, err)
	}
}

// TestRemovedClassOfWaitingSegment: a segment that is stored under another configuration
// than the one that it was sealed under is retained for what its records were promised.
func TestRemovedClassOfWaitingSegment(t *testing.T) {
	t.Parallel()
	p := newPlant(t, 1, fmt.Sprintf(`store: {kind: dir, dir: %q, retention: {mode: governance, period: 20y}}
retention:
  classes: [{name: tax, period: 30y}]
  rules: [{class: tax, mailboxes: "An*"}]`, t.TempDir()), "anna", "bert")
	p.drain(t)
	note := filepath.Join(p.config.Archive.Dir, ledgerDir, "0000", "0000000000000000.seg.stored")
	if _, err := os.Stat(note); !os.IsNotExist(err) {
		t.Fatal("the segment is stored already: the test tests nothing")
	}
	p.config.Retention, p.config.Store.Retention.Period = configs.Keeping{}, "1y"
	p.runUntil(t, func(s store.SpoolStatus) bool { return s.Stored > 0 })
	b, err := os.ReadFile(note)
	if year := fmt.Sprintf(`"until": "%d-`, time.Now().Year()+30); err != nil || !strings.Contains(string(b), year) {
		t.Errorf("it is retained otherwise than the class tax: %v\n%s", err, b)
	}
}

// TestDefaultClass: it is that of store.retention, where a store retains.
func TestDefaultClass(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		store configs.Store
		want  mail.Class
	}{
		"no store":      {configs.Store{Kind: "none", Retention: configs.Retention{Mode: "compliance", Period: "6y"}}, mail.Class{}},
		"no retention":  {configs.Store{Kind: "s3", Retention: configs.Retention{Mode: "none", Period: "6y"}}, mail.Class{}},
		"of the store":  {configs.Store{Kind: "dir", Retention: configs.Retention{Mode: "governance", Period: "90d"}}, mail.Class{Name: "default", Days: 90}},
		"by the end of": {configs.Store{Kind: "s3", Retention: configs.Retention{Mode: "compliance", Period: "6y", Start: "end-of-year"}}, mail.Class{Name: "default", Years: 6, EndOfYear: true}},
	} {
		of, err := classOf(&configs.Config{Store: test.store})
		if err != nil {
			t.Fatal(err)
		}
		var got mail.Class
		if of != nil {
			got = of(mail.Delivery{}, nil)
		}
		if got.Rules = ""; got != test.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
