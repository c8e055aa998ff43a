package poller

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestStateRoundTrip(t *testing.T) {
	st, ok := parseState(nil)
	expect(t, "fresh", ok, true)
	st.strike(rowKey{uidl: "\xff\x00", size: 7}, short, noon)
	st.ask("s0", []rowKey{{uidl: "a", size: 1}, {uidl: "b", size: 2}, {uidl: "", size: 3, number: 3}})
	st.owe(mail.Drain{Session: "s"})
	data, err := st.encode()
	if err != nil {
		t.Fatal(err)
	}
	got, ok := parseState(data)
	if !ok || len(got.Rows) != 1 || got.Rows[0] != st.Rows[0] || len(got.Asked.Keys) != 16 || got.Asked.Unnamed != 1 || got.Asked.Session != "s0" || len(got.Reports) != 1 {
		t.Errorf("%+v", got)
	}
}

func TestStateIsBounded(t *testing.T) {
	st := new(state)
	for i := range maxRows + 50 {
		st.strike(rowKey{uidl: fmt.Sprint(i), size: 1}, cut, noon)
	}
	st.strike(rowKey{uidl: "1040", size: 1}, cut, noon) // has two failures and must stay
	for i := range maxReports + 3 {
		dropped := st.owe(mail.Drain{Session: fmt.Sprint(i)})
		expect(t, "dropped", dropped, min(1, max(0, i-maxReports+1)))
	}
	if _, err := st.encode(); err != nil {
		t.Fatal(err)
	}
	expect(t, "rows", len(st.Rows), maxRows)
	expect(t, "reports", len(st.Reports), maxReports)
	expect(t, "newest report", st.Reports[maxReports-1].Session, fmt.Sprint(maxReports+2))
	if !slices.ContainsFunc(st.Rows, func(r row) bool { return r.UIDL == "1040" }) {
		t.Error("the row with most failures was forgotten")
	}
}

func TestOwedReportsAreBounded(t *testing.T) {
	st := new(state)
	for range 3 {
		st.owe(mail.Drain{Deleted: 900, Rows: make([]mail.DrainRow, 900)})
	}
	expect(t, "rows of the second", len(st.Reports[1].Rows), 900)
	expect(t, "rows of the third", len(st.Reports[2].Rows), 0)
	expect(t, "deleted of the third", st.Reports[2].Deleted, 900)
}

func TestStrikesBackOff(t *testing.T) {
	st := &state{Version: stateVersion}
	k := rowKey{uidl: "u", size: 1}
	for _, want := range []time.Duration{10 * time.Minute, time.Hour, week, week} {
		st.strike(k, poison, noon)
		expect(t, "wait", st.at(k).Next.Sub(noon), want)
	}
	st.strike(k, cut, noon)
	expect(t, "tries of another trouble", st.at(k).Tries, 1)
	st.absolve(k)
	expect(t, "rows", len(st.Rows), 0)
	st.at(k).Commits = 2
	st.strike(k, cut, noon)
	st.absolve(k)
	expect(t, "commits survive", st.at(k).Commits, 2)
}

func TestReconcile(t *testing.T) {
	st := new(state)
	e := func(uidl string) entry { return entry{uidl: uidl, size: 5, unique: true} }
	all := []entry{e("a"), e("b"), e("c")}
	keys := []rowKey{all[0].key(), all[1].key()}
	for i := range 5 {
		st.ask("s", keys)
		st.answered("s", mail.QuitAcked)
		c := st.reconcile(all, false, noon)
		expect(t, "gone", c.Gone, 0)
		expect(t, "back", c.Back, 2)
		expect(t, "listed", string(c.Listed[0]+c.Listed[1]), "ab")
		expect(t, "stuck", st.Stuck, i+1)
	}
	expect(t, "held a", st.at(keys[0]).held(noon), true)
	expect(t, "no record of c", len(st.Rows), 2)
	st.ask("s", keys)
	c := st.reconcile(all[1:], false, noon)
	expect(t, "gone", c.Gone, 1)
	expect(t, "back", c.Back, 1)
	expect(t, "quit", c.Quit, mail.QuitUnknown)
	expect(t, "b is not blamed for a QUIT without an answer", st.at(keys[1]).Commits, 5)
	expect(t, "stuck", st.Stuck, 0)
	expect(t, "a is forgotten", len(st.Rows), 1)
	expect(t, "nothing asked", st.reconcile(nil, false, noon) == nil, true)
	expect(t, "all is forgotten", len(st.Rows), 0)
	st.ask("s", keys)
	expect(t, "renamed", st.reconcile(all[2:], true, noon) == nil, true)
}

func TestIntersect(t *testing.T) {
	rows := []pop3.Row{{Number: 1, Size: 10}, {Number: 2, Size: -1}, {Number: 4, Size: 40}, {Number: 4, Size: 41}, {Number: 7, Size: 70}}
	uidls := []pop3.UidlRow{{Number: 1, UIDL: "a"}, {Number: 3, UIDL: "c"}, {Number: 4, UIDL: "a"}, {Number: 7, UIDL: "g"}, {Number: 9, UIDL: "i"}}
	got := intersect(rows, uidls, true)
	want := []entry{{1, 10, "a", false}, {4, 40, "a", false}, {7, 70, "g", true}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	got = intersect(rows, nil, false)
	if len(got) != 4 || got[1] != (entry{2, -1, "", false}) {
		t.Errorf("without UIDL: %v", got)
	}
	expect(t, "keys differ", got[0].key() == got[2].key(), false)
}

func TestSizeGate(t *testing.T) {
	for _, c := range []struct {
		profile profile
		m       measure
		short   bool
	}{
		{unknown, measure{octets: 100, listed: 100}, false},
		{unknown, measure{octets: 102, listed: 100}, false},
		{unknown, measure{octets: 99, listed: 100}, true},
		{exact, measure{octets: 99, listed: 100}, true},
		{exact, measure{octets: 500, listed: 100}, false},
		{exact, measure{octets: 2, listed: 0}, false},
		{exact, measure{octets: 99, listed: -1, announced: 100}, true},
		{exact, measure{octets: 99, listed: -1, announced: -1}, false},
		{linefeeds, measure{octets: 110, lines: 10, listed: 100}, false},
		{linefeeds, measure{octets: 109, lines: 10, listed: 100}, true},
		{linefeeds, measure{octets: 100, lines: 10, listed: 100}, false},
		{rounded, measure{octets: 1025, listed: 2048}, false},
		{rounded, measure{octets: 1024, listed: 2048}, true},
		{unreliable, measure{octets: 1, listed: 2048}, false},
	} {
		s := sizes{Profile: c.profile}
		if got := s.short(SizesLearned, c.m, false); (got != "") != c.short {
			t.Errorf("%q %+v: %q", c.profile, c.m, got)
		}
	}
	s := sizes{Profile: exact}
	expect(t, "configured", s.short(SizesUnreliable, measure{octets: 1, listed: 9}, false), "")
	expect(t, "broken", s.short(SizesUnreliable, measure{octets: 1, listed: 9}, true) != "", true)
}

// A server that truncates must not earn a lenient profile, however often it does.
func TestTruncationEarnsNothing(t *testing.T) {
	var s sizes
	for i := range 1000 {
		m := measure{octets: 500, lines: 9, listed: 500}
		if i%3 == 0 {
			m.octets = 220
		}
		s.learn(m)
	}
	expect(t, "profile", s.Profile, exact)
	s = sizes{}
	for range 1000 {
		s.learn(measure{octets: 220, lines: 9, listed: 500})
	}
	expect(t, "profile of all short", s.Profile, unknown)
}

func TestStructure(t *testing.T) {
	head := "Subject: x\r\nContent-Type: multipart/mixed;\r\n\tboundary=\"b 1\"\r\n\r\n"
	for _, c := range []struct {
		raw    string
		broken bool
	}{
		{"", false},
		{"Subject: x\r\n\r\ntext", false},
		{"Content-Type: multipart/mixed\r\n\r\nno boundary", false},
		{head + "--b 1\r\n\r\ntext\r\n--b 1--\r\n", false},
		{head + "--b 1\r\n\r\ntext\r\n", true},
		{head + "--b 1\r\n\r\n" + strings.Repeat("x", 100_000) + "\r\n--b 1--\r\n", false},
		{head[:40], true},
		{"Content-Type: MULTIPART/mixed; bound", true},
		{head + "--b 1--\r\n" + strings.Repeat("x", 100_000), true},
	} {
		for _, n := range []int{1 << 20, 7, 4096} {
			s := new(structure)
			if _, err := io.CopyBuffer(struct{ io.Writer }{s}, struct{ io.Reader }{strings.NewReader(c.raw)}, make([]byte, n)); err != nil {
				t.Fatal(err)
			}
			if got := s.broken(); got != c.broken {
				t.Errorf("%.60q of %d octets in pieces of %d: broken = %v", c.raw, len(c.raw), n, got)
			}
			if !bytes.HasSuffix([]byte(c.raw), s.tail) || len(s.tail) > structureTail || len(s.head) > structureHeader {
				t.Errorf("kept %d and %d octets", len(s.head), len(s.tail))
			}
		}
	}
}

func TestBackoffRanges(t *testing.T) {
	for o, d := range delays {
		for n := range 40 {
			if got := backoff(o, n); got < d.floor || got > d.most {
				t.Errorf("%s after %d failures: %s", o, n, got)
			}
		}
	}
}

func TestOutcomes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Outcome
	}{
		{nil, OutcomeOK},
		{&pop3.Error{Op: "PASS", Class: pop3.Credentials}, OutcomeCredentials},
		{fmt.Errorf("x: %w", &pop3.Error{Class: pop3.Busy}), OutcomeBusy},
		{&pop3.Error{Class: pop3.Rate}, OutcomeRate},
		{&pop3.Error{Class: pop3.Perm}, OutcomePerm},
		{&pop3.Error{Class: pop3.Protocol}, OutcomeProtocol},
		{&pop3.Error{Class: pop3.Message}, OutcomeTemp},
		{pop3.ErrDesync, OutcomeProtocol},
		{failed(OutcomeArchive, &pop3.Error{Class: pop3.Busy}), OutcomeArchive},
		{errors.Join(io.EOF, failed(OutcomeRate, io.EOF)), OutcomeRate},
		{mail.Errorf(mail.Invalid, "x"), OutcomePerm},
		{mail.Errorf(mail.InUse, "x"), OutcomeBusy},
		{io.EOF, OutcomeTemp},
	} {
		if got := OutcomeOf(c.err); got != c.want {
			t.Errorf("%v: %s, want %s", c.err, got, c.want)
		}
	}
}

// FuzzState: whatever the Store holds, a state is made of it that can be used
// and stored again.
func FuzzState(f *testing.F) {
	st := &state{Version: stateVersion, Asked: asked{Keys: make([]byte, 13)}, Listed: listed{Marks: make([]byte, 13), Since: []time.Time{noon}}}
	st.strike(rowKey{uidl: "u", size: 1}, short, noon)
	data, _ := st.encode()
	f.Add(data)
	f.Add([]byte(`{"v":1,"messages":-3,"window":-1,"bad":-7,"rows":[{"tries":-9,"trouble":"odd","commits":-1,"refused":-2}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		st, _ := parseState(data)
		listing := []entry{{number: 1, size: 1, uidl: "u", unique: true}, {number: 2, size: 1}}
		c := takeCensus(listing, noon)
		c.follow(st.Listed.census(), st.Asked)
		c.oldest()
		st.Listed = c.store()
		st.Clock.see(noon, "", 0, week)
		st.reconcile(listing, false, noon)
		for _, why := range []trouble{poison, short, cut} {
			st.strike(rowKey{uidl: "u", size: 1}, why, noon)
		}
		st.undeleted(rowKey{uidl: "u", size: 1}, noon)
		st.absolve(rowKey{uidl: "u", size: 1})
		again, err := st.encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := parseState(again); !ok {
			t.Errorf("cannot read %q", again)
		}
	})
}
