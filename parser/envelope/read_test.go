package envelope_test

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser"
	"github.com/mailkeep/mailkeep/parser/envelope"
)

func hasDefect(m *mail.Message, code string) bool {
	return slices.ContainsFunc(m.Defects, func(d mail.Defect) bool { return d.Code == code })
}

// A sender can write the header of a report: in a mailbox that is not marked it
// is an ordinary mail, and the parser's own reading stands.
func TestForgedReport(t *testing.T) {
	t.Parallel()
	b := fixture(t, "exchange")
	for _, rules := range []envelope.Rules{{}, {Header: "X-Original-To"}} {
		m := read(t, b, rules)
		if m.Envelope != nil || joined(m.To) != "journal@archive.example.net" || m.MessageID != "report-1@ex1.example.org" {
			t.Errorf("rules %+v: the report was believed: to %v, envelope %+v", rules, m.To, m.Envelope)
		}
		if got := hasDefect(m, "ENVELOPE_UNKNOWN"); got != rules.Ask() {
			t.Errorf("rules %+v: ENVELOPE_UNKNOWN is %v", rules, got)
		}
	}
	if diff := cmp.Diff(parser.Parse(b), read(t, b, envelope.Rules{})); diff != "" {
		t.Errorf("without rules the message differs from the parser's:\n%s", diff)
	}
}

// TestSplitReports wants the reports that a server splits one message into to
// have one copy key, that of the message itself.
func TestSplitReports(t *testing.T) {
	t.Parallel()
	journaling := envelope.Rules{Journal: true}
	one, other := read(t, fixture(t, "exchange"), journaling), read(t, fixture(t, "split"), journaling)
	if one.Copy.IsZero() || one.Copy != other.Copy {
		t.Errorf("copies of one message: %s and %s", one.Copy, other.Copy)
	}
	b := fixture(t, "exchange")
	inner := b[bytes.Index(b, []byte("From: Anna")):bytes.Index(b, []byte("\n--outer--"))]
	if alone := parser.Parse(inner); alone.Copy != one.Copy {
		t.Errorf("the message itself has %s, in a report %s", alone.Copy, one.Copy)
	}
	if another := read(t, fixture(t, "exchange2003"), journaling); another.Copy == one.Copy {
		t.Error("another message has the same key")
	}
}

// TestPlaces reads each part and field of an unwrapped message where it is said
// to be.
func TestPlaces(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"exchange", "microsoft365", "exchange2003"} {
		b := fixture(t, name)
		m := read(t, b, envelope.Rules{Journal: true})
		checkPlaces(t, b, m)
		seen := map[string]bool{}
		for _, p := range m.Parts {
			if seen[p.Path] {
				t.Errorf("%s: two parts %s", name, p.Path)
			}
			seen[p.Path] = true
		}
		if m.Size != int64(len(b)) {
			t.Errorf("%s: size %d of %d octets", name, m.Size, len(b))
		}
	}
}

func checkPlaces(t *testing.T, b []byte, m *mail.Message) {
	t.Helper()
	for _, p := range m.Parts {
		if p.OffHeader < 0 || p.OffBody < p.OffHeader || p.OffBody+p.Len > int64(len(b)) {
			t.Fatalf("part %s lies at %d-%d-%d of %d octets", p.Path, p.OffHeader, p.OffBody, p.OffBody+p.Len, len(b))
		}
		if p.Digest.IsZero() {
			continue
		}
		var got bytes.Buffer
		if _, err := got.ReadFrom(parser.PartReader(bytes.NewReader(b), p)); err != nil || mail.DigestOf(got.Bytes()) != p.Digest {
			t.Fatalf("part %s is not where it is said to be (%v)", p.Path, err)
		}
	}
	for _, f := range m.Fields {
		if f.Off < 0 || f.Off+f.Len > int64(len(b)) {
			t.Fatalf("field %s lies at %d-%d of %d octets", f.Name, f.Off, f.Off+f.Len, len(b))
		}
		if text := strings.ToLower(string(b[f.Off : f.Off+f.Len])); !strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), strings.ToLower(f.Name)) {
			t.Fatalf("field %s is not at %d: %.40q", f.Name, f.Off, text)
		}
	}
}

// TestOneLevel wants a report within a report to be left as it is: it is the
// message that was journaled.
func TestOneLevel(t *testing.T) {
	t.Parallel()
	inner := fixture(t, "exchange2003")
	b := []byte("X-MS-Journal-Report:\nContent-Type: multipart/mixed; boundary=\"far\"\n\n--far\nContent-Type: text/plain\n\n" +
		"Sender: postmaster@example.org\nMessage-ID: <report-3@ex1.example.org>\nTo: journal@archive.example.net\n" +
		"--far\nContent-Type: message/rfc822\n\n" + string(inner) + "\n--far--\n")
	m := read(t, b, envelope.Rules{Journal: true})
	if m.Envelope == nil || m.MessageID != "report-3@ex1.example.org" || len(m.Envelope.Recipients) != 1 {
		t.Errorf("got message %q, envelope %+v", m.MessageID, m.Envelope)
	}
	checkPlaces(t, b, m)
}

// TestReportLines reads the lines of reports one by one.
func TestReportLines(t *testing.T) {
	t.Parallel()
	bert := mail.Recipient{Role: "to", Addr: "bert@example.org"}
	clara := mail.Recipient{Role: "to", Addr: "clara@example.org"}
	tests := []struct {
		lines string
		want  []mail.Recipient
		odd   bool
	}{
		{"To: bert@example.org", []mail.Recipient{bert}, false},
		{"TO : <Bert@EXAMPLE.org>", []mail.Recipient{bert}, false},
		{"To: Bert <bert@example.org>, clara@example.org", []mail.Recipient{bert, clara}, false},
		{"To: bert@example.org\nTo: bert@example.org", []mail.Recipient{bert}, false},
		{"To: bert@example.org, expanded: <dl@example.org>", []mail.Recipient{{Role: "to", Addr: "bert@example.org", ExpandedFrom: "dl@example.org"}}, false},
		{"To: bert@example.org , Forwarded: a@example.org, Expanded: b@example.org",
			[]mail.Recipient{{Role: "to", Addr: "bert@example.org", ForwardedFrom: "a@example.org", ExpandedFrom: "b@example.org"}}, false},
		{"Bcc:\n bert@example.org", []mail.Recipient{{Role: "bcc", Addr: "bert@example.org"}}, false},
		{"Recipient: SMTP:bert@example.org", []mail.Recipient{{Role: "recipient", Addr: "bert@example.org"}}, false},
		{"To: bert@bücher.example", []mail.Recipient{{Role: "to", Addr: "bert@xn--bcher-kva.example"}}, false},
		{"To: EX:/O=Example/CN=Bert", []mail.Recipient{{Role: "to", Addr: "/o=example/cn=bert"}}, true},
		{"To: bert@example.org, Expanded: Staff", []mail.Recipient{{Role: "to", Addr: "bert@example.org", ExpandedFrom: "staff"}}, true},
		{"To:", nil, true},
		{"SentUtc: 2026\nTo: bert@example.org", []mail.Recipient{bert}, false},
		{"a disclaimer without a label\nTo: bert@example.org", []mail.Recipient{bert}, true},
		{"Recipients: \nbert@example.org\nconfidential\nTo: clara@example.org",
			[]mail.Recipient{{Role: "recipient", Addr: "bert@example.org"}, clara}, true},
	}
	for _, tt := range tests {
		b := []byte("X-MS-Journal-Report:\nContent-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: text/plain; charset=utf-8\n\n" +
			"Sender: <>\nMessage-ID: <a@example.org>\n" + tt.lines + "\n--o\nContent-Type: message/rfc822\n\nSubject: x\n\ny\n--o--\n")
		m := read(t, b, envelope.Rules{Journal: true})
		if m.Envelope == nil {
			t.Errorf("%q: no envelope", tt.lines)
			continue
		}
		if diff := cmp.Diff(tt.want, m.Envelope.Recipients); diff != "" {
			t.Errorf("%q: (-want +got)\n%s", tt.lines, diff)
		}
		if got := hasDefect(m, "JOURNAL_PARTLY"); got != tt.odd {
			t.Errorf("%q: JOURNAL_PARTLY is %v", tt.lines, got)
		}
	}
}

// TestFields tries the rules for mailboxes that gather the mail of many.
func TestFields(t *testing.T) {
	t.Parallel()
	const mx = "Received: from out.example.com (by evil.example for <fake@example.com>)\n\tby mx.example.org with ESMTP id 1\n\tfor <bert@example.org>; Mon, 2 Mar 2026 09:15:07 +0000\n"
	const relay = "Received: from a.example.com by relay.example.com with SMTP for <relayed@example.com>; Mon, 2 Mar 2026 09:15:00 +0000\n"
	tests := []struct {
		name   string
		header string
		rules  envelope.Rules
		source string
		want   string
	}{
		{"top field", "X-Original-To: Bert@Example.org\n" + mx, envelope.Rules{Header: "x-original-to"}, "x-original-to", "bert@example.org"},
		{"below the first hop", mx + "X-Original-To: bert@example.org\n", envelope.Rules{Header: "X-Original-To"}, "", ""},
		{"below a trusted hop", mx + "X-Original-To: clara@example.org\n", envelope.Rules{Header: "X-Original-To", ReceivedBy: []string{"mx.example.org"}}, "X-Original-To", "clara@example.org"},
		{"injected below the border", mx + relay + "X-Original-To: evil@example.com\n", envelope.Rules{Header: "X-Original-To", ReceivedBy: []string{"mx.example.org"}}, "Received", "bert@example.org"},
		{"second occurrence", "Delivered-To: all@example.org\nDelivered-To: bert@example.org\n" + mx, envelope.Rules{Header: "Delivered-To", Occurrence: 2}, "Delivered-To", "bert@example.org"},
		{"no such occurrence", "Delivered-To: all@example.org\n" + mx, envelope.Rules{Header: "Delivered-To", Occurrence: 2}, "", ""},
		{"prefix", "Delivered-To: mbox-12-bert@example.org\n", envelope.Rules{Header: "Delivered-To", StripPrefix: "MBOX-12-"}, "Delivered-To", "bert@example.org"},
		{"prefix that is not there", "Delivered-To: bert@example.org\n", envelope.Rules{Header: "Delivered-To", StripPrefix: "mbox-12-"}, "Delivered-To", "bert@example.org"},
		{"encoded", "X-Original-To: archive+bert=example.org@archive.example.net\n", envelope.Rules{Header: "X-Original-To", StripPrefix: "archive+", Encoded: true}, "X-Original-To", "bert@example.org"},
		{"nothing but the prefix", "Delivered-To: mbox-@example.org\n", envelope.Rules{Header: "Delivered-To", StripPrefix: "mbox-"}, "", ""},
		{"several", "X-Envelope-To: bert@example.org, clara@example.org\n", envelope.Rules{Header: "X-Envelope-To"}, "X-Envelope-To", "bert@example.org clara@example.org"},
		{"received for", mx, envelope.Rules{ReceivedBy: []string{"MX.example.org"}}, "Received", "bert@example.org"},
		{"received by a host below", mx, envelope.Rules{ReceivedBy: []string{".example.org"}}, "Received", "bert@example.org"},
		{"received by nobody trusted", mx, envelope.Rules{ReceivedBy: []string{"example.org", "evil.example"}}, "", ""},
		{"name chosen by the sender", "Received: from by by mx.example.com for <fake@example.com>; x\n", envelope.Rules{ReceivedBy: []string{"by"}}, "", ""},
		{"an address that is none", "X-Original-To: bert\n", envelope.Rules{Header: "X-Original-To"}, "", ""},
	}
	for _, tt := range tests {
		b := []byte(tt.header + "From: anna@example.org\nTo: claimed@example.org\nCc: claimed2@example.org\nSubject: x\n\nbody\n")
		m := read(t, b, tt.rules)
		source, got := "", ""
		if e := m.Envelope; e != nil {
			source = e.Source
			for _, r := range e.Recipients {
				got = strings.TrimSpace(got + " " + r.Addr)
				if r.Role != "recipient" {
					t.Errorf("%s: role %q", tt.name, r.Role)
				}
			}
		}
		if source != tt.source || got != tt.want {
			t.Errorf("%s: got %q from %q, want %q from %q", tt.name, got, source, tt.want, tt.source)
		}
		if hasDefect(m, "ENVELOPE_UNKNOWN") != (tt.want == "") {
			t.Errorf("%s: defects %v", tt.name, m.Defects)
		}
	}
}

// TestManyRecipients reaches the limit on recipients, in linear time.
func TestManyRecipients(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("X-MS-Journal-Report:\nContent-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: text/plain\n\nSender: a@example.org\n")
	for i := range 60_000 {
		b.WriteString("To: u" + strings.Repeat("x", i%3) + string(rune('a'+i%26)) + "." + strconv.Itoa(i) + "@example.org\n")
	}
	b.WriteString("--o\nContent-Type: message/rfc822\n\nSubject: x\n\ny\n--o--\n")
	m := read(t, []byte(b.String()), envelope.Rules{Journal: true})
	if len(m.Envelope.Recipients) != 50_000 || !hasDefect(m, "LIM_ADDRESSES") {
		t.Errorf("%d recipients, defects %v", len(m.Envelope.Recipients), m.Defects)
	}
}

// FuzzRead wants any octets to give a message whose places are sound, twice the
// same, and no address of To or Cc promoted.
func FuzzRead(f *testing.F) {
	for _, name := range []string{"exchange", "microsoft365", "exchange2003", "nomessage", "unparsed"} {
		f.Add(fixture(f, name))
	}
	rules := envelope.Rules{Journal: true, Header: "X-Original-To", StripPrefix: "a-", Encoded: true, ReceivedBy: []string{".example.org"}}
	f.Fuzz(func(t *testing.T, b []byte) {
		m := read(t, b, rules)
		if diff := cmp.Diff(m, read(t, b, rules)); diff != "" {
			t.Fatalf("two readings differ:\n%s", diff)
		}
		for _, p := range m.Parts {
			if p.OffHeader < 0 || p.OffBody < p.OffHeader || p.OffBody+p.Len > int64(len(b)) {
				t.Fatalf("part %s lies at %d-%d-%d of %d octets", p.Path, p.OffHeader, p.OffBody, p.OffBody+p.Len, len(b))
			}
		}
		if e := m.Envelope; e != nil && e.Source == "" {
			t.Fatal("an envelope without a source")
		}
	})
}
