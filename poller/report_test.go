package poller

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

var update = flag.Bool("update", false, "write the golden files")

// checkFates holds what is true of every report: each message of the listing has
// one fate, of the words that there are.
func checkFates(t complainer, d *mail.Drain) {
	t.Helper()
	sum := 0
	for f, n := range d.Fates {
		sum += n
		if n <= 0 || !slices.Contains(mail.AllFates(), f) {
			t.Errorf("%d messages have the fate %q", n, f)
		}
	}
	if d.Fates != nil && sum != d.Listed {
		t.Errorf("%d messages have a fate, %d are listed: %v", sum, d.Listed, d.Fates)
	}
	rows := make(map[mail.Fate]int)
	for _, r := range d.Rows {
		rows[r.Fate]++
		if d.Fates != nil && rows[r.Fate] > d.Fates[r.Fate] {
			t.Errorf("more rows than messages have the fate %q: %v", r.Fate, d.Fates)
		}
		deleted := r.Fate == mail.FateDeleted || r.Fate == mail.FateDeletedShort
		if deleted != (r.Deleted && d.Quit != mail.QuitNone) {
			t.Errorf("row %+v of a session with QUIT %s", r, d.Quit)
		}
	}
}

// fated runs one session in which messages meet many fates.
func fated(r *rig) Result {
	for i := range 6 {
		r.deliver(pop3test.Message{UIDL: fmt.Sprint("m", i), Raw: []byte(letter(fmt.Sprint("mail ", i), 120))})
	}
	r.deliver(pop3test.Message{UIDL: "big", Raw: []byte(letter("big", 5000))})
	r.m.MaxMessage = 4000
	r.hooks(pop3test.Hooks{
		Body: cutBody(4),
		OnCommand: func(c pop3test.Command) *pop3test.Action {
			switch c.Line() {
			case "RETR 3":
				return &pop3test.Action{Raw: "-ERR cannot read it\r\n"}
			case "DELE 5":
				return &pop3test.Action{Raw: "-ERR not now\r\n"}
			}
			return nil
		},
	})
	r.arc.seal = func(d mail.Delivery) sealing {
		if d.UIDL == "m5" {
			return sealing{err: mail.Errorf(mail.Invalid, "will not take it")}
		}
		return sealing{}
	}
	return r.drain()
}

func TestReportTellsEachFate(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		res := fated(r)
		want := map[string]mail.Fate{
			"m0": mail.FateDeleted, "m1": mail.FateDeleted, "m2": mail.FatePoison, "m3": mail.FateShort,
			"m4": mail.FateUndeletable, "m5": mail.FateRefused,
		}
		for _, row := range res.Last.Rows {
			expect(t, string(row.UIDL), row.Fate, want[string(row.UIDL)])
			delete(want, string(row.UIDL))
		}
		expect(t, "without a row", len(want), 0)
		expect(t, "oversize", res.Last.Fates[mail.FateOversize], 1)
	})
}

// varying is what differs from run to run: messages are sealed in any order.
var varying = regexp.MustCompile(`"(session|id)": "[^"]*"`)

// TestReportGolden pins the form in which the ledger keeps reports for years.
func TestReportGolden(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		fated(r)
		r.hooks(pop3test.Hooks{})
		r.takeAway("m2", "m4")
		elapse(time.Hour)
		r.drain()
		var b strings.Builder
		for _, e := range r.arc.events {
			text, err := json.MarshalIndent(mail.Event{Type: mail.EventDrain, Drain: &e}, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			b.Write(varying.ReplaceAll(text, []byte(`"$1": "..."`)))
			b.WriteByte('\n')
		}
		const name = "testdata/reports.json"
		if *update {
			if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if b.String() != string(want) {
			t.Errorf("%s differs; if that is meant, run go test -update and read the diff. Got:\n%s", name, b.String())
		}
	})
}

// The words are closed, so each has its place in the operators' manual.
func TestFatesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "### The report of a session")
	table, _, _ = strings.Cut(table, "\n## ")
	for _, f := range mail.AllFates() {
		if !strings.Contains(table, "`"+string(f)+"`") {
			t.Errorf("docs/operations.md does not tell the fate %q", f)
		}
	}
	for what, f := range fates {
		if !slices.Contains(mail.AllFates(), f) {
			t.Errorf("the trouble %q has the fate %q", what, f)
		}
	}
	expect(t, "a fate for each trouble", len(fates), len(waits))
}

// The next session says, of each message that was deleted, whether it is gone.
func TestReportConfirmsDeletions(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{Quit: pop3test.QuitHalf})
		first := r.drain()
		r.hooks(pop3test.Hooks{})
		elapse(time.Hour)
		c := r.drainOK().Last.Confirmed
		if c == nil || c.Session != first.Last.Session || c.Quit != mail.QuitRefused || c.Gone != 3 || c.Back != 3 {
			t.Fatalf("%+v", c)
		}
		left := []mail.Octets{"u2", "u4", "u6"}
		if !slices.Equal(c.Listed, left) {
			t.Errorf("still listed %q, want %q", c.Listed, left)
		}
		c = r.drainOK().Last.Confirmed
		expect(t, "gone in the end", c.Gone, 3)
		expect(t, "nothing is outstanding", r.drainOK().Last.Confirmed == nil, true)
	}, letters(6)...)
}

// What no unique-id names cannot be confirmed, and is counted.
func TestReportCountsWhatCannotBeConfirmed(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.deliver(pop3test.Message{UIDL: "twin", Raw: []byte(letter("a", 90))}, pop3test.Message{UIDL: "twin", Raw: []byte(letter("b", 90))})
		r.drainOK()
		c := r.drainOK().Last.Confirmed
		expect(t, "gone", c.Gone, 2)
		expect(t, "unnamed", c.Unnamed, 2)
	}, letters(2)...)
}

// A worker that dies while it deletes leaves its report to the next.
func TestReportOfADeadWorker(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.store.last = `"draft"`
		r.arc.report = func() error { return mail.Errorf(mail.Temporary, "nobody is there to report") }
		dead := r.drain()
		r.store.last, r.arc.report = "", nil
		r.drainOK()
		expect(t, "events", len(r.arc.events), 2)
		e := r.arc.events[0]
		expect(t, "session", e.Session, dead.Last.Session)
		expect(t, "QUIT", e.Quit, mail.QuitUnknown)
		expect(t, "fetched", e.Fetched, 3)
		expect(t, "rows", len(e.Rows), 3)
		expect(t, "sealed", e.Fates[mail.FateSealed], 3)
		expect(t, "confirmed by the next", r.arc.events[1].Confirmed.Gone, 3)
	}, letters(3)...)
}

// A report of thousands of messages stays within what a store takes.
func TestReportIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.m.BatchMessages = MaxBatchMessages
		r.strict = false
		for i := range 5000 {
			r.box.Add(pop3test.Message{UIDL: fmt.Sprintf("%070d", i), Raw: []byte("Subject: x\r\n\r\n")})
		}
		r.arc.report = func() error { return mail.Errorf(mail.Temporary, "no answer") }
		r.drainOK()
		if n := len(r.store.data[r.m.Name]); n > maxState {
			t.Errorf("%d octets of state", n)
		}
		r.arc.report = nil
		r.drainOK()
		expect(t, "deleted, as told", r.arc.events[0].Deleted, 5000)
	})
}
