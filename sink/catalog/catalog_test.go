package catalog

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/mail"
)

// epoch is when the first record of a test was sealed.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

func open(t testing.TB, path string) *Catalog {
	t.Helper()
	c, err := Open(path, Options{Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return c
}

func apply(t testing.TB, c *Catalog, records ...mail.Record) {
	t.Helper()
	if err := c.Apply(records); err != nil {
		t.Fatal(err)
	}
}

func summary(t testing.TB, c *Catalog) mail.ViewSummary {
	t.Helper()
	s, err := c.Summary()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func delivery(mailbox, uidl, raw string) mail.Delivery {
	return mail.Delivery{
		Capture: mail.Capture{
			Mailbox: mailbox, UIDL: mail.Octets(uidl), ListSize: int64(len(raw)) + 2,
			Session: "s1", Host: "pop.example.org", Fetched: epoch.Add(-time.Second),
		},
		Fingerprint: mail.FingerprintOf([]byte(raw)),
	}
}

func message(seq uint64, d mail.Delivery) mail.Record {
	return mail.Record{
		ID: mail.ID{Seq: seq}, Kind: mail.KindMessage, Next: seq + 1, Segment: uint32(seq / 10),
		Time: epoch.Add(time.Duration(seq) * time.Second), Delivery: d,
	}
}

func reference(seq, of uint64, again bool, d mail.Delivery) mail.Record {
	r := message(seq, d)
	r.Kind, r.Of, r.Again = mail.KindReference, mail.ID{Seq: of}, again
	return r
}

func drain(seq uint64, d mail.Drain) mail.Record {
	r := message(seq, mail.Delivery{})
	r.Kind, r.Event = mail.KindEvent, &mail.Event{Type: mail.EventDrain, Drain: &d}
	return r
}

func TestLookup(t *testing.T) {
	c := open(t, filepath.Join(t.TempDir(), "c.db"))
	long := strings.Repeat("u", 5000)
	suspect := delivery("a", "short", "part")
	suspect.Suspect = "short: 4 of 9 octets"
	unsized := delivery("a", "unsized", "raw")
	unsized.ListSize = -1
	recycled := delivery("a", "1", "now something else of another size")
	same := delivery("a", "2", "twice")
	sameNow := delivery("a", "2", "eciwt")
	apply(t, c,
		message(1, delivery("a", "1", "one")),
		message(3, delivery("a", "\x00\xff\n", "octets")),
		message(4, delivery("a", long, "long")),
		message(5, delivery("a", "", "no uidl")),
		message(6, suspect), message(7, unsized), message(8, recycled),
		message(9, same), message(10, sameNow))

	for _, tt := range []struct {
		name    string
		mailbox string
		row     mail.Listing
		want    uint64 // 0 is unknown
	}{
		{"known", "a", mail.Listing{UIDL: "1", Size: 5}, 1},
		{"recycled UIDL, other size", "a", mail.Listing{UIDL: "1", Size: recycled.ListSize}, 8},
		{"recycled UIDL, same size: the latest", "a", mail.Listing{UIDL: "2", Size: 7}, 10},
		{"other size: a contradiction", "a", mail.Listing{UIDL: "1", Size: 6}, 8},
		{"other mailbox", "b", mail.Listing{UIDL: "1", Size: 5}, 0},
		{"other UIDL", "a", mail.Listing{UIDL: "11", Size: 5}, 0},
		{"octets", "a", mail.Listing{UIDL: "\x00\xff\n", Size: 8}, 3},
		{"long", "a", mail.Listing{UIDL: mail.Octets(long), Size: 6}, 4},
		{"long, other size", "a", mail.Listing{UIDL: mail.Octets(long), Size: 9}, 4},
		{"prefix of a UIDL", "a", mail.Listing{UIDL: "\x00\xff", Size: 8}, 0},
		{"suspect, other size", "a", mail.Listing{UIDL: "short", Size: 1}, 0},
		{"long, last octet differs", "a", mail.Listing{UIDL: mail.Octets(long[1:] + "v"), Size: 6}, 0},
		{"empty UIDL", "a", mail.Listing{Size: 9}, 0},
		{"suspect", "a", mail.Listing{UIDL: "short", Size: suspect.ListSize}, 0},
		{"unknown size", "a", mail.Listing{UIDL: "unsized", Size: -1}, 0},
	} {
		got, err := c.Lookup(tt.mailbox, []mail.Listing{tt.row, {UIDL: "never", Size: 1}})
		if err != nil || len(got) != 2 {
			t.Fatalf("%s: Lookup = %d receipts, %v", tt.name, len(got), err)
		}
		if got[0].ID.Seq != tt.want || !got[1].SealedAt.IsZero() {
			t.Errorf("%s: Lookup = %s and %s, want record %d and none", tt.name, got[0].ID, got[1].ID, tt.want)
		}
		if tt.want == 0 && !got[0].SealedAt.IsZero() {
			t.Errorf("%s: an unknown row has a receipt", tt.name)
		}
	}
}

// What a receipt of the catalog holds must be enough for Receipt.Covers and for
// comparing with TOP.
func TestLookupReceipt(t *testing.T) {
	c := open(t, filepath.Join(t.TempDir(), "c.db"))
	d := delivery("a", "u1", "From: x\r\n\r\nbody")
	apply(t, c, message(17, d))
	got, err := c.Lookup("a", []mail.Listing{{UIDL: "u1", Size: d.ListSize}})
	if err != nil {
		t.Fatal(err)
	}
	d.Session, d.Host = "", ""
	want := mail.Receipt{Delivery: d, ID: mail.ID{Seq: 17}, Segment: 1, SealedAt: epoch.Add(17 * time.Second)}
	if diff := cmp.Diff(want, got[0]); diff != "" {
		t.Errorf("receipt (-want +got):\n%s", diff)
	}
	if err := got[0].Covers("a", d.Fingerprint); err != nil {
		t.Errorf("Covers: %v", err)
	}
}

// Since when the archive has a message does not start anew when the server
// gives it another unique-id.
func TestFirstIsThatOfTheBytes(t *testing.T) {
	c := open(t, filepath.Join(t.TempDir(), "c.db"))
	apply(t, c,
		message(1, delivery("b", "0", "x")),
		reference(2, 1, false, delivery("a", "old", "x")),
		reference(9, 1, true, delivery("a", "new", "x")))
	rows := []mail.Listing{{UIDL: "old", Size: 3}, {UIDL: "new", Size: 3}}
	got, err := c.Lookup("a", rows)
	if err != nil {
		t.Fatal(err)
	}
	since := epoch.Add(2 * time.Second)
	if !got[0].First.IsZero() || !got[0].Since().Equal(since) {
		t.Errorf("of the first delivery: First %v, Since %v", got[0].First, got[0].Since())
	}
	if !got[1].First.Equal(since) || !got[1].Since().Equal(since) {
		t.Errorf("of the second delivery: First %v, Since %v", got[1].First, got[1].Since())
	}
	standings, err := c.Standings([]mail.Delivery{delivery("a", "third", "x"), delivery("a", "new", "x"), delivery("a", "old", "x"), delivery("c", "1", "x")})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct{ first, sealed time.Time }{{since, time.Time{}}, {since, since}, {since, time.Time{}}, {}} {
		if s := standings[i]; !s.First.Equal(want.first) || !s.Sealed.First.Equal(want.sealed) {
			t.Errorf("standing %d: %+v", i, s)
		}
	}
}

func TestByDigestAndMessage(t *testing.T) {
	c := open(t, filepath.Join(t.TempDir(), "c.db"))
	apply(t, c,
		message(0, delivery("a", "1", "x")),
		reference(1, 0, false, delivery("b", "9", "x")),
		reference(2, 0, true, delivery("b", "10", "x")))
	digest := mail.DigestOf([]byte("x"))
	for mailbox, want := range map[string]uint64{"a": 0, "b": 1} {
		r, ok, err := c.ByDigest(mailbox, digest)
		if err != nil || !ok || r.ID.Seq != want || r.Mailbox != mailbox {
			t.Errorf("ByDigest(%s) = %v %t %v, want record %d", mailbox, r, ok, err, want)
		}
	}
	if _, ok, err := c.ByDigest("c", digest); ok || err != nil {
		t.Errorf("ByDigest of an unknown mailbox = %t, %v", ok, err)
	}
	m, ok, err := c.Message(digest)
	if err != nil || !ok || m.ID.Seq != 0 || m.Mailbox != "a" {
		t.Errorf("Message = %v %t %v", m, ok, err)
	}
	if _, ok, err := c.Message(mail.DigestOf(nil)); ok || err != nil {
		t.Errorf("Message of unknown bytes = %t, %v", ok, err)
	}
}

func TestStandings(t *testing.T) {
	c := open(t, filepath.Join(t.TempDir(), "c.db"))
	suspect := delivery("s", "1", "x")
	suspect.Suspect = "short"
	apply(t, c, message(5, delivery("a", "1", "x")), reference(6, 5, false, suspect))
	sound := delivery("s", "1", "x")
	got, err := c.Standings([]mail.Delivery{
		delivery("a", "1", "x"), delivery("a", "2", "x"), delivery("b", "1", "x"),
		delivery("a", "1", "y"), suspect, sound, delivery("a", "", "x"),
	})
	if err != nil {
		t.Fatal(err)
	}
	var text []string
	for _, s := range got {
		text = append(text, fmt.Sprint(s.Known, s.Message.Seq, s.Again, s.Sealed.ID.Seq))
	}
	want := []string{"true 5 true 5", "true 5 true 0", "true 5 false 0", "false 0 false 0", "true 5 true 6", "true 5 true 0", "true 5 true 0"}
	if diff := cmp.Diff(want, text); diff != "" {
		t.Errorf("known, message, again, sealed (-want +got):\n%s", diff)
	}
}

func TestMailboxes(t *testing.T) {
	c := open(t, filepath.Join(t.TempDir(), "c.db"))
	suspect := delivery("a", "2", "xy")
	suspect.Suspect = "short"
	apply(t, c,
		message(0, delivery("b", "1", "x")), message(1, suspect),
		reference(2, 0, false, delivery("a", "3", "x")), reference(3, 0, true, delivery("a", "4", "x")),
		drain(4, mail.Drain{Session: "d1", Mailbox: "a", Deleted: 2, Outcome: "ok", Ended: epoch}),
		drain(5, mail.Drain{Session: "d2", Mailbox: "a", Deleted: 1, Outcome: "temp", Ended: epoch.Add(time.Hour)}))
	got, err := c.Mailboxes()
	if err != nil {
		t.Fatal(err)
	}
	at := func(n int) time.Time { return epoch.Add(time.Duration(n) * time.Second) }
	want := []MailboxStats{
		{Mailbox: "b", Messages: 1, Octets: 1, FirstSealed: at(0), LastSealed: at(0)},
		{Mailbox: "a", Messages: 1, References: 2, Again: 1, Suspect: 1, Octets: 4, FirstSealed: at(1), LastSealed: at(3),
			Drains: 2, Deleted: 3, LastDrain: &mail.ID{Seq: 5}, LastSuccess: epoch},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Mailboxes (-want +got):\n%s", diff)
	}
}

func TestDrains(t *testing.T) {
	c := open(t, filepath.Join(t.TempDir(), "c.db"))
	if d, _, err := c.LastDrain("a"); d != nil || err != nil {
		t.Fatalf("LastDrain of an empty catalog = %v, %v", d, err)
	}
	const extra = 7
	var records []mail.Record
	for i := range uint64(KeepDrains + extra) {
		records = append(records,
			drain(2*i, mail.Drain{Session: fmt.Sprint("a", i), Mailbox: "a", Rows: []mail.DrainRow{{Number: 1}}}),
			drain(2*i+1, mail.Drain{Session: fmt.Sprint("b", i), Mailbox: "b"}))
	}
	apply(t, c, records...)
	for mailbox, odd := range map[string]uint64{"a": 0, "b": 1} {
		last, id, err := c.LastDrain(mailbox)
		want := fmt.Sprint(mailbox, KeepDrains+extra-1)
		if err != nil || last.Session != want || id.Seq != 2*(KeepDrains+extra-1)+odd || last.Rows != nil {
			t.Errorf("LastDrain(%s) = %+v %s %v, want session %s without rows", mailbox, last, id, err, want)
		}
		all, err := c.Drains(mailbox, 1<<20)
		if err != nil || len(all) != KeepDrains || all[KeepDrains-1].Session != fmt.Sprint(mailbox, extra) {
			t.Errorf("Drains(%s) = %d reports, %v, want the latest %d", mailbox, len(all), err, KeepDrains)
		}
		for i := range KeepDrains + extra {
			id, known, err := c.HasSession(fmt.Sprint(mailbox, i))
			if err != nil || known != (i >= extra) || known && id.Seq != 2*uint64(i)+odd {
				t.Fatalf("HasSession(%s%d) = %s, %t, %v", mailbox, i, id, known, err)
			}
		}
	}
	if few, err := c.Drains("a", 3); err != nil || len(few) != 3 || few[0].ID.Seq < few[2].ID.Seq {
		t.Errorf("Drains(a, 3) = %v, %v", few, err)
	}
}

// history makes n records of all kinds, with gaps between their positions.
func history(rng *rand.Rand, n int) []mail.Record {
	var records []mail.Record
	bodies := make(map[string]uint64)
	seq := uint64(1)
	for len(records) < n {
		mailbox, body := fmt.Sprintf("box%d@example.org", rng.IntN(5)), fmt.Sprint("body ", rng.IntN(n/2))
		d := delivery(mailbox, fmt.Sprint("u", rng.IntN(n)), body)
		if rng.IntN(10) == 0 {
			d.Suspect = "short"
		}
		of, known := bodies[body]
		switch {
		case rng.IntN(8) == 0:
			records = append(records, drain(seq, mail.Drain{Session: fmt.Sprint(seq), Mailbox: mailbox, Deleted: rng.IntN(3), Started: epoch}))
		case known:
			records = append(records, reference(seq, of, rng.IntN(2) == 0, d))
		default:
			bodies[body] = seq
			records = append(records, message(seq, d))
		}
		next := seq + 1 + rng.Uint64N(3)
		records[len(records)-1].Next = next
		seq = next + rng.Uint64N(2)
	}
	return records
}

// The content depends on the records alone: not on how they are cut, not on
// whether some come again.
func TestApplyIsIdempotent(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	records := history(rng, 600)
	whole := open(t, filepath.Join(t.TempDir(), "whole.db"))
	apply(t, whole, records...)
	want := summary(t, whole)
	if want.Position != records[len(records)-1].Next || want.Position != whole.Cursor() {
		t.Errorf("position %d, cursor %d, want %d", want.Position, whole.Cursor(), records[len(records)-1].Next)
	}

	pieces := open(t, filepath.Join(t.TempDir(), "pieces.db"))
	for i := 0; i < len(records); {
		n := min(1+rng.IntN(20), len(records)-i)
		apply(t, pieces, records[max(0, i-rng.IntN(30)):i+n]...)
		i += n
	}
	if got := summary(t, pieces); got != want {
		t.Errorf("in pieces: %+v, want %+v", got, want)
	}
	apply(t, pieces, records...)
	if got := summary(t, pieces); got != want {
		t.Errorf("all again: %+v, want %+v", got, want)
	}
	if err := pieces.Reset(); err != nil {
		t.Fatal(err)
	}
	if got := pieces.Cursor(); got != 0 {
		t.Errorf("cursor after Reset = %d", got)
	}
	apply(t, pieces, records...)
	if got := summary(t, pieces); got != want {
		t.Errorf("after Reset: %+v, want %+v", got, want)
	}
	records[0].Delivery.ListSize++
	other := open(t, filepath.Join(t.TempDir(), "other.db"))
	apply(t, other, records...)
	if got := summary(t, other); got.Digest == want.Digest {
		t.Error("a summary does not tell two contents apart")
	}
}

func TestApplyRefuses(t *testing.T) {
	c := open(t, filepath.Join(t.TempDir(), "c.db"))
	apply(t, c, message(4, delivery("a", "1", "x")))
	before := summary(t, c)
	foreign, backward := message(9, delivery("a", "2", "y")), message(7, delivery("a", "3", "z"))
	foreign.ID.Partition = 1
	backward.Next = 7
	for name, batch := range map[string][]mail.Record{
		"other partition": {foreign},
		"next not behind": {backward},
		"out of order":    {message(9, delivery("a", "2", "y")), message(8, delivery("a", "3", "z"))},
	} {
		if err := c.Apply(batch); mail.KindOf(err) != mail.Invalid {
			t.Errorf("%s: %v, want mail.Invalid", name, err)
		}
	}
	if got := summary(t, c); got != before {
		t.Errorf("a refused batch left a trace: %+v, want %+v", got, before)
	}
}

func TestTip(t *testing.T) {
	c := open(t, filepath.Join(t.TempDir(), "c.db"))
	if _, some, err := c.Tip(); some || err != nil {
		t.Fatalf("Tip of an empty catalog = %t, %v", some, err)
	}
	last := message(5, delivery("a", "1", "x"))
	apply(t, c, message(4, delivery("a", "0", "w")), last)
	if seq, some, err := c.Tip(); seq != 5 || !some || err != nil {
		t.Errorf("Tip = %d, %t, %v", seq, some, err)
	}
	other := message(5, delivery("a", "1", "y"))
	for r, want := range map[*mail.Record]bool{&last: true, &other: false} {
		if same, err := c.EndsWith(*r); same != want || err != nil {
			t.Errorf("EndsWith(%s) = %t, %v, want %t", r.Delivery, same, err, want)
		}
	}
}

func TestSecondOpener(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.db")
	open(t, path)
	start := time.Now()
	_, err := Open(path, Options{})
	if mail.KindOf(err) != mail.InUse || mail.HintOf(err) == "" {
		t.Errorf("second Open: %v (hint %q), want mail.InUse with a hint", err, mail.HintOf(err))
	}
	if err := Drop(path); mail.KindOf(err) != mail.InUse {
		t.Errorf("Drop of an open catalog: %v, want mail.InUse", err)
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("refused after %v, want at once", d)
	}
}

func TestDrop(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.db")
	c := open(t, path)
	apply(t, c, message(0, delivery("a", "1", "x")))
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := Drop(path); err != nil {
			t.Fatal(err)
		}
	}
	if got := open(t, path).Cursor(); got != 0 {
		t.Errorf("cursor after Drop = %d", got)
	}
}

func TestClosed(t *testing.T) {
	c := open(t, filepath.Join(t.TempDir(), "c.db"))
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Lookup("a", nil); mail.KindOf(err) != mail.Temporary {
		t.Errorf("Lookup after Close: %v", err)
	}
	if err := c.Reset(); mail.KindOf(err) != mail.Temporary {
		t.Errorf("Reset after Close: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A copy of the files of an open catalog is what kill -9 leaves.
func TestOpenAfterTheProcessDied(t *testing.T) {
	records := history(rand.New(rand.NewPCG(2, 2)), 300)
	for _, tt := range []struct {
		name   string
		state  string // of the marker; "" leaves it
		damage func(t *testing.T, path string)
		kept   bool
	}{
		{name: "same boot", kept: true},
		{name: "other boot", state: "open 00000000-0000-0000-0000-000000000000\n"},
		{name: "unknown boot", state: "open \n"},
		{name: "marker torn", state: "op"},
		{name: "closed with another sum", state: "closed 4096 00000000\n"},
		{name: "file cut", damage: func(t *testing.T, path string) {
			if err := os.Truncate(path, 3*4096); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "file empty", damage: func(t *testing.T, path string) {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "no database", damage: func(t *testing.T, path string) {
			if err := os.WriteFile(path, bytes.Repeat([]byte("no database "), 5000), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "pages overwritten", damage: func(t *testing.T, path string) {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for i := 2 * 4096; i < len(b); i += 4096 {
				copy(b[i:], bytes.Repeat([]byte{0xa5}, 64))
			}
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path, left := filepath.Join(dir, "c.db"), filepath.Join(dir, "left.db")
			c := open(t, path)
			for i := 0; i < len(records); i += 50 {
				apply(t, c, records[i:i+50]...)
			}
			want := summary(t, c)
			copyFile(t, path, left)
			copyFile(t, path+".state", left+".state")
			if tt.state != "" {
				if err := os.WriteFile(left+".state", []byte(tt.state), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if tt.damage != nil {
				tt.damage(t, left)
			}
			again := open(t, left)
			if kept := again.Cursor() == want.Position; kept != tt.kept {
				t.Errorf("cursor %d after %d: kept is %t, want %t", again.Cursor(), want.Position, kept, tt.kept)
			}
			apply(t, again, records...)
			if got := summary(t, again); got != want {
				t.Errorf("filled up: %+v, want %+v", got, want)
			}
		})
	}
}

func TestCloseKeeps(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.db")
	c := open(t, path)
	apply(t, c, history(rand.New(rand.NewPCG(3, 3)), 100)...)
	want := summary(t, c)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path + ".state"); !strings.HasPrefix(string(b), "closed ") || err != nil {
		t.Errorf("marker %q, %v", b, err)
	}
	if got := summary(t, open(t, path)); got != want {
		t.Errorf("after Close and Open: %+v, want %+v", got, want)
	}
}

func TestOtherOwner(t *testing.T) {
	for name, o := range map[string]Options{"archive": {Identity: "other"}, "partition": {Partition: 1}} {
		path := filepath.Join(t.TempDir(), "c.db")
		c := open(t, path)
		apply(t, c, message(0, delivery("a", "1", "x")))
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		other, err := Open(path, o)
		if err != nil {
			t.Fatal(err)
		}
		if got := other.Cursor(); got != 0 {
			t.Errorf("the catalog of another %s is taken over at %d", name, got)
		}
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	}
}
