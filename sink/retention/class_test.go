package retention_test

import (
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/retention"
)

func newRules(t *testing.T, classes []mail.Class, rules []retention.Rule, other mail.Class) *retention.Rules {
	t.Helper()
	k, err := retention.NewRules(classes, rules, other)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// classes of the tests: news is shorter than what no rule is met by, tax longer.
var classes = []mail.Class{{Name: "news", Days: 90}, {Name: "tax", Years: 10, EndOfYear: true}, {Name: "also-tax", Years: 10, EndOfYear: true}}

var other = mail.Class{Name: mail.ClassDefault, Years: 6}

func TestClass(t *testing.T) {
	t.Parallel()
	k := newRules(t, classes, []retention.Rule{
		{Class: "news", List: []string{"News.example.org"}},
		{Class: "also-tax", Mailboxes: []string{"books"}},
		{Class: "tax", Mailboxes: []string{"Invoices*", "*-tax-*-x", "books"}},
		{Class: "tax", Mailboxes: []string{"sales"}, From: []string{"@bank.example"}, To: []string{"ann@example.org", "@finance.example.org"}},
	}, other)
	now := time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct{ mailbox, header, want string }{
		"no rule":           {"office", "Subject: x\r\n\r\n", "default"},
		"no header":         {"office", "", "default"},
		"mailbox":           {"invoices of 2026", "", "tax"},
		"asterisks":         {"a-TAX-b-c-x", "", "tax"},
		"asterisks overlap": {"a-tax-x", "", "default"},
		"the first":         {"books", "", "also-tax"},
		"list":              {"office", "List-ID: The news\r\n <news.EXAMPLE.org>\r\n\r\n", "news"},
		"list bare":         {"office", "x: y\nlist-id : news.example.org\n", "news"},
		"longest":           {"invoices", "List-Id: <news.example.org>\n\n", "tax"},
		"in the body":       {"office", "Subject: x\n\nList-Id: <news.example.org>\n", "default"},
		"in the body, CR":   {"office", "\r\nList-Id: <news.example.org>\n", "default"},
		"both":              {"sales", "From: \"A, B\" <x@eu.Bank.example>\nTo: z@example.net,\n\tAnn <ann@example.org>\n\n", "tax"},
		"sender, cc":        {"sales", "Sender: x@bank.example\nCC: u@finance.example.org\n\n", "tax"},
		"from alone":        {"sales", "From: x@bank.example\nSubject: ann@example.org\n\n", "default"},
		"other domain":      {"sales", "From: x@notbank.example\nTo: ann@example.org\n\n", "default"},
		"address in part":   {"sales", "From: x@bank.example\nTo: joann@example.org\n\n", "default"},
		"not a field":       {"office", "List-Id\n<news.example.org>\n\n", "default"},
		"cut off":           {"office", "Subject: x\nList-Id: <news.exam", "default"},
	} {
		got := k.Class(mail.Delivery{Capture: mail.Capture{Mailbox: test.mailbox}}, []byte(test.header), now)
		if got.Name != test.want || len(got.Rules) != 8 {
			t.Errorf("%s: %+v, want %s", name, got, test.want)
		}
	}
}

func TestNewRulesRefuses(t *testing.T) {
	t.Parallel()
	_, err := retention.NewRules(classes, []retention.Rule{{Class: "taxes"}}, other)
	if mail.KindOf(err) != mail.Invalid || !strings.Contains(err.Error(), `"taxes"`) {
		t.Error(err)
	}
	if got := newRules(t, nil, nil, mail.Class{}).Class(mail.Delivery{}, nil, time.Now()); got != (mail.Class{}) {
		t.Errorf("without rules: %+v", got)
	}
}

// TestUntil: what was promised holds whatever is configured later, and the class of
// the same name may lengthen it.
func TestUntil(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 4, 5, 0, 0, 0, time.FixedZone("", 7*3600))
	sealed := func(mailbox string, c mail.Class) mail.Record {
		return mail.Record{Time: at, Delivery: mail.Delivery{Capture: mail.Capture{Mailbox: mailbox}, Class: c}}
	}
	rules := []retention.Rule{{Class: "news", List: []string{"news.example.org"}}, {Class: "tax", Mailboxes: []string{"invoices"}, From: []string{"@bank.example"}}}
	k := newRules(t, classes, rules, other)
	none := newRules(t, nil, nil, mail.Class{})
	for name, test := range map[string]struct {
		rules *retention.Rules
		r     mail.Record
		want  string
	}{
		"as it was":           {k, sealed("invoices", mail.Class{Name: "news", Days: 90}), "2026-06-01"},
		"shortened since":     {k, sealed("office", mail.Class{Name: "news", Years: 2}), "2028-03-03"},
		"lengthened since":    {k, sealed("office", mail.Class{Name: "tax", Years: 1}), "2037-01-01"},
		"default, lengthened": {k, sealed("office", mail.Class{Name: "default", Days: 1}), "2032-03-03"},
		"class is gone":       {none, sealed("office", mail.Class{Name: "tax", Years: 3, EndOfYear: true}), "2030-01-01"},
		"no period":           {none, sealed("office", mail.Class{Name: "free"}), "0001-01-01"},
		"without a class":     {k, sealed("office", mail.Class{}), "2032-03-03"},
		"longest it may be":   {k, sealed("Invoices", mail.Class{}), "2037-01-01"},
		"nothing keeps it":    {none, sealed("invoices", mail.Class{}), "0001-01-01"},
	} {
		if got := test.rules.Until(test.r).Format(time.DateOnly); got != test.want {
			t.Errorf("%s: kept until %s, want %s", name, got, test.want)
		}
	}
}

// FuzzClass: no header panics, and none takes a class away that the mailbox gives.
func FuzzClass(f *testing.F) {
	f.Add([]byte("From: a@bank.example\r\n b\r\nList-Id: <news.example.org>\r\n\r\nbody"))
	f.Add([]byte("\n\r\n : \x00\nList-Id:<"))
	k, err := retention.NewRules(classes, []retention.Rule{
		{Class: "news", List: []string{"news.example.org"}, From: []string{"@bank.example"}}, {Class: "tax", Mailboxes: []string{"invoices"}},
	}, other)
	if err != nil {
		f.Fatal(err)
	}
	now := time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, header []byte) {
		for mailbox, least := range map[string]string{"invoices": "tax", "office": ""} {
			if c := k.Class(mail.Delivery{Capture: mail.Capture{Mailbox: mailbox}}, header, now); c.IsZero() || least != "" && c.Name != least {
				t.Errorf("%s: %+v", mailbox, c)
			}
		}
	})
}
