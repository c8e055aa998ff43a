package main

import (
	"bytes"
	"io"
	"runtime/debug"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/mailkeep/mailkeep/internal/app"
	"github.com/mailkeep/mailkeep/mail"
)

// evil is text as mail brings it: an escape sequence, a C1 control, an override
// of the direction, a line end.
const evil = "a\x1b[2J\u009b31m\u202etxt.exe\r\nb"

func answer() mail.SearchAnswer {
	return mail.SearchAnswer{
		Query: "invoice", Total: 120, Next: "tok",
		Warnings: []mail.Warning{{Pos: 3, Text: "RE: is read as text"}},
		Hits: []mail.Hit{
			{ID: mail.ID{Seq: 1234}, Mailbox: "office", Date: day1, Subject: "Invoice 17", From: "Ann <ann@example.org>", To: "bob@example.org", Size: 12345,
				Attachments: []string{"invoice.pdf", "terms.txt"},
				Snippets: []mail.Fragment{
					{Field: "subject", Text: "Invoice 17", Marks: [][2]int{{0, 7}}},
					{Field: "body", Text: "the invoice, and an invoice", Marks: [][2]int{{4, 11}, {20, 27}}},
				}},
			{ID: mail.ID{Partition: 1, Seq: 2}, Mailbox: evil, Subject: evil, Size: 17,
				Snippets: []mail.Fragment{{Field: evil, Text: evil, Marks: [][2]int{{0, 1}, {0, 1}, {3, 99}, {-1, 0}}}}},
		},
		Coverage: mail.Coverage{Cursors: []mail.Cursor{{Position: 1200, Size: 1234}, {Partition: 1, Position: 10, Size: 10}},
			Partly: map[mail.TextStatus]uint64{mail.TextEncrypted: 1, mail.TextUnsupported: 1200}, Failed: []string{"partition 2: gone"}},
	}
}

func message() *mail.Message {
	return &mail.Message{
		Subject: "Invoice " + evil, From: []mail.Address{{Name: "Ann", Addr: "ann@example.org"}}, To: []mail.Address{{Addr: "bob@example.org"}, {Raw: "odd"}},
		MessageID: "1@example.org", DateHeader: day1, Text: "Hello,\r\n\tthis is " + evil + "\n\n\n",
		Fields: []mail.Field{{Name: "Subject", Value: "Invoice"}, {Name: "X-Evil", Value: evil}},
		Parts: []mail.Part{{Path: "1", Role: mail.RoleContainer}, {Path: "1.1", Role: mail.RoleBody},
			{Path: "1.2", Role: mail.RoleAttachment, FileName: evil, Type: "application/pdf", Size: 98765, TextStatus: mail.TextUnsupported},
			{Path: "1.3", Role: mail.RoleInline, Type: "image/png"},
			{Path: "1.4", Role: mail.RoleNested, Type: "message/rfc822", Size: 100}},
		Defects: []mail.Defect{{Code: "boundary-missing", Severity: mail.Warn, Part: "1", Off: 42, Count: 3, Detail: evil}},
	}
}

func record() mail.Record {
	return mail.Record{ID: mail.ID{Seq: 7}, Kind: mail.KindMessage, Time: day1, Segment: 3,
		Delivery: mail.Delivery{Capture: mail.Capture{Mailbox: "office", UIDL: "u\x1b1", Host: "pop.example.org:995", TLS: "TLS 1.3", Session: "s1", Fetched: day1, Suspect: "short: 3 of 5"},
			Class:       mail.Class{Name: "tax", Years: 10, EndOfYear: true},
			Fingerprint: mail.Fingerprint{Digest: mail.DigestOf([]byte("x")), Size: 1}}}
}

func report() app.StatusReport {
	return app.StatusReport{Time: day1,
		Mailboxes: []app.MailboxStatus{
			{Name: "office", Configured: true, Listed: 12, Sealed: 11, Deleted: 10, Messages: 12345, Octets: 1 << 30, LastSession: day1.Add(-90 * time.Second), LastSuccess: day1.Add(-90 * time.Second), Outcome: "ok", NextDue: day1.Add(14 * time.Minute)},
			{Name: "sales", Configured: true, LastSession: day1.Add(-3 * time.Hour), LastSuccess: day1.Add(-72 * time.Hour), Outcome: "credentials", Error: "refused " + evil, Failures: 3, Held: 1, NextDue: day1,
				Problem: "no success for 3d " + evil, Hint: "set the right password " + evil},
			{Name: "old", Messages: 1, Octets: 100},
			{Name: "busy", Configured: true, Running: true, Error: "passes by itself " + evil, Outcome: "temp", Failures: 1},
			{Name: "locked", Configured: true, CredentialsOpen: true, Problem: "refused", NextDue: day1},
			{Name: "hour", Configured: true, CredentialsOpen: true, CredentialsUntil: day1.Add(time.Hour), NextDue: day1.Add(time.Hour), Waits: "breaker"},
			{Name: "down", Configured: true, HostPaused: day1.Add(5 * time.Minute), NextDue: day1},
		},
		Partitions: []app.PartitionStatus{{Records: 12400, Segments: 17, Octets: 5e8, Catalog: 12400, Index: 11000, Problem: "disk full"}},
		Queue:      &app.QueueStatus{Messages: 1, Octets: 2000}}
}

func verified(damaged bool) app.VerifyReport {
	r := app.VerifyReport{Started: day1, Ended: day1.Add(1500 * time.Millisecond),
		Partitions: []app.VerifiedPartition{{Records: 10, Messages: 1, Segments: 2, Octets: 4096, Head: "abcd"}}, Findings: []app.Finding{}}
	if damaged {
		r.Findings = append(r.Findings,
			app.Finding{Where: "0000000000000000.seg at octet 512", ID: &mail.ID{Seq: 3}, Problem: "hash of the body differs", Hint: "restore the segment"},
			app.Finding{Where: "index", Problem: evil})
	}
	return r
}

// TestRender compares each view with its golden file, and proves that nothing
// that came with mail can drive a terminal.
func TestRender(t *testing.T) {
	drained := app.DrainResult{Mailboxes: []app.DrainedMailbox{
		{Name: "office", Listed: 12, Fetched: 10, Sealed: 12, Deleted: 11, Held: 1, Octets: 1234567, Took: 1234 * time.Millisecond, Outcome: "ok"},
		{Name: "sales " + evil, Outcome: "credentials", Error: "refused", Hint: "check the password", Took: 100 * time.Second},
	}}
	for name, render := range map[string]func(io.Writer) error{
		"search.txt": func(w io.Writer) error { return renderAnswer(w, answer(), plainStyle) },
		"nothing.txt": func(w io.Writer) error {
			return renderAnswer(w, mail.SearchAnswer{Coverage: mail.Coverage{Complete: true}}, plainStyle)
		},
		"show.txt":     func(w io.Writer) error { return renderMessage(w, record(), message(), nil, false, plainStyle) },
		"headers.txt":  func(w io.Writer) error { return renderMessage(w, record(), message(), nil, true, plainStyle) },
		"status.txt":   func(w io.Writer) error { return renderStatus(w, report()) },
		"drain.txt":    func(w io.Writer) error { return renderDrain(w, drained) },
		"verified.txt": func(w io.Writer) error { return renderVerify(w, verified(false)) },
		"damaged.txt":  func(w io.Writer) error { return renderVerify(w, verified(true)) },
		"history.txt":  func(w io.Writer) error { return renderHistory(w, history(), nil) },
		"no-history.txt": func(w io.Writer) error {
			return renderHistory(w, app.History{Mailbox: "new " + evil, Configured: true}, nil)
		},
		"probes.txt": func(w io.Writer) error { return renderProbes(w, probes(), nil) },
		"resets.txt": func(w io.Writer) error { renderResets(w, resets()); return nil },
		"mailboxes.txt": func(w io.Writer) error {
			return renderMailboxList(w, []listedMailbox{
				{Name: "office", Host: "pop.example.org:995", User: "office@example.org", Security: "tls", Delete: "after-seal", Schedule: "every 15m", State: "ok"},
				{Name: evil, Host: "pop.example.org:110", User: evil, Security: "stls", Delete: "never", Schedule: "every 1h", State: "credentials", Problem: evil},
			})
		},
		"search.json": func(w io.Writer) error { return printJSON(w, answer()) },
	} {
		var out bytes.Buffer
		if err := render(&out); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if i := strings.IndexFunc(out.String(), func(r rune) bool { return r != '\n' && r != '\t' && isHarmful(r) }); i >= 0 {
			t.Errorf("%s: a control character at %d: %q", name, i, out.String()[i:min(i+20, out.Len())])
		}
		golden(t, name, out.String())
	}
}

func TestHighlightOnATerminal(t *testing.T) {
	f := mail.Fragment{Text: "an invoice \x1b[0m", Marks: [][2]int{{3, 10}}}
	if got, want := highlight(f, ansiStyle), "an \x1b[1;33minvoice\x1b[0m \uFFFD[0m"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func FuzzHighlight(f *testing.F) {
	f.Add("an invoice", 3, 10, 0, 2)
	f.Add("é\u202e\xff\x1b", 1, 2, -5, 1<<30)
	f.Fuzz(func(t *testing.T, text string, a, b, c, d int) {
		got := highlight(mail.Fragment{Text: text, Marks: [][2]int{{a, b}, {c, d}}}, plainStyle)
		if strings.ContainsFunc(got, isHarmful) {
			t.Errorf("%q", got)
		}
	})
}

func TestPrintable(t *testing.T) {
	for r := range rune(0xA0) {
		if got := printable(string(r)); unicode.IsControl([]rune(got)[0]) {
			t.Errorf("%U passes", r)
		}
	}
	if got := printableText("a\r\nb\rc\td"); got != "a\nb\uFFFDc\td" {
		t.Errorf("%q", got)
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 999949: "999.9 kB", 999_951: "1.0 MB", 1 << 40: "1.1 TB", 1<<63 - 1: "9223.4 PB"} {
		if got := octets(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 messages", 1: "1 message", 999: "999 messages", 1234567: "1,234,567 messages", -1234: "-1,234 messages"} {
		if got := count(n, "message"); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestVersion(t *testing.T) {
	var out bytes.Buffer
	info := &debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.time", Value: "2026-01-31"}, {Key: "vcs.modified", Value: "true"}}}
	if err := renderVersion(&out, info); err != nil || !strings.HasPrefix(out.String(), "mailkeep v1.2.3\nrevision abc of 2026-01-31, with uncommitted changes\ngo1") {
		t.Errorf("%v, %q", err, out.String())
	}
	if err := renderVersion(&out, nil); err != nil {
		t.Error(err)
	}
}

// TestProgressLines: off a terminal a line per subject comes every few seconds,
// with the newest state only, and nothing after stop.
func TestProgressLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		g := newProgress(&out, false)
		g.start()
		for i := range int64(1000) {
			g.update(app.Progress{Phase: app.PhaseDrain, Subject: "off\x1bice", Done: i, Total: 1000, Octets: i * 1000})
		}
		for i := range 20 {
			g.update(app.Progress{Phase: app.PhaseVerify, Subject: string(rune('a' + i)), Done: 1})
		}
		time.Sleep(lineEvery + time.Millisecond)
		synctest.Wait()
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != maxBars+1 || lines[0] != "mailkeep: drain off\uFFFDice: 999 of 1,000, 999.0 kB" || lines[maxBars] != "mailkeep: and 9 more" {
			t.Errorf("%q", lines)
		}
		out.Reset()
		time.Sleep(3 * lineEvery)
		synctest.Wait()
		g.update(app.Progress{Phase: app.PhaseDrain, Subject: "x"})
		g.stop()
		if out.Len() > 0 {
			t.Errorf("nothing changed, but %q", out.String())
		}
	})
}

// TestProgressBars: bars come and go without holding up the work, and stop ends
// them all.
func TestProgressBars(t *testing.T) {
	var out bytes.Buffer
	g := newProgress(&out, true)
	for i := range 50 {
		g.update(app.Progress{Phase: app.PhaseDrain, Subject: string(rune('a' + i)), Done: 1, Total: 2})
	}
	g.show()
	if len(g.shown) != maxBars {
		t.Errorf("%d bars", len(g.shown))
	}
	for i := range 50 {
		g.update(app.Progress{Phase: app.PhaseDrain, Subject: string(rune('a' + i)), Done: 2, Total: 2, Finished: true})
	}
	g.show()
	if len(g.shown) != 0 {
		t.Errorf("%d bars are left", len(g.shown))
	}
	g.update(app.Progress{Phase: app.PhaseDrain, Subject: "last", Total: 0})
	g.show()
	g.stop()
}
