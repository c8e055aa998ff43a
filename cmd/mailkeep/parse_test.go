package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/internal/app"
	"github.com/mailkeep/mailkeep/mail"
)

// hostile is a message that tries to drive a terminal.
const hostile = "From: \"evil\x1b[2J\" <eve@example.org>\r\nTo: ann@example.org\r\nSubject: =?utf-8?q?=1B[31mred=E2=80=AEtxt?=\r\n" +
	"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nbody \x1b]0;title\x07 \u202egnp\r\n" +
	"--b\r\nContent-Type: text/plain; name=\"\x9b2Jx.txt\"\r\nContent-Disposition: attachment\r\n\r\nattached\x1b[1m\r\n--b--\r\n"

const journalReport = "X-MS-Journal-Report:\nContent-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: text/plain\n\nSender: ann@example.org\n" +
	"Message-ID: <m@example.org>\nBcc: dora@example.org\n--o\nContent-Type: message/rfc822\n\nFrom: ann@example.org\nSubject: inside\n\nsecret\n--o--\n"

func writeMail(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "message.eml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Parse needs neither configuration nor archive: the configuration that is named
// here does not exist.
func parseCommand(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(append([]string{"parse"}, args...), &out, &errs, []string{"MAILKEEP_CONFIG=/no/such/file"}, application{Inspect: app.Inspect})
	return status, out.String(), errs.String()
}

func TestParseOutputs(t *testing.T) {
	t.Parallel()
	file := writeMail(t, journalReport)
	status, out, stderr := parseCommand(t, file)
	var m mail.Message
	if err := json.Unmarshal([]byte(out), &m); status != 0 || err != nil || m.Envelope != nil || len(m.Parts) != 4 {
		t.Errorf("status %d, %v, %s\n%s", status, err, stderr, out)
	}
	status, out, _ = parseCommand(t, "--mailbox-mode", "journal", file)
	if err := json.Unmarshal([]byte(out), &m); status != 0 || err != nil || m.Subject != "inside" || m.Envelope == nil || m.Envelope.Recipients[0].Role != "bcc" {
		t.Errorf("status %d, %v\n%s", status, err, out)
	}
	status, out, _ = parseCommand(t, "--mailbox-mode", "journal", "--text", file)
	for _, want := range []string{"Subject: inside\n", "Bcc: dora@example.org\n", "\nsecret\n", "--- part 1.1 text/plain\n"} {
		if status != 0 || !strings.Contains(out, want) {
			t.Errorf("status %d, no %q in\n%s", status, want, out)
		}
	}
	status, out, _ = parseCommand(t, "--tree", file)
	for _, want := range []string{"1  multipart/mixed", "  1.1  text/plain", "  1.2  message/rfc822", "    1.2.1  text/plain", "defect"} {
		if status != 0 || !strings.Contains(out, want) {
			t.Errorf("status %d, no %q in\n%s", status, want, out)
		}
	}
}

// Whatever a message holds, no control character of it comes out.
func TestParseIsPrintable(t *testing.T) {
	t.Parallel()
	file := writeMail(t, hostile)
	for _, args := range [][]string{{file}, {"--text", file}, {"--tree", file}} {
		status, out, stderr := parseCommand(t, args...)
		if status != 0 {
			t.Errorf("%q: status %d, %s", args, status, stderr)
		}
		if i := strings.IndexFunc(out, func(r rune) bool { return r != '\n' && r != '\t' && isHarmful(r) }); i >= 0 {
			t.Errorf("%q: a control character at %d: %.40q", args, i, out[i:])
		}
	}
}

func TestParseArguments(t *testing.T) {
	t.Parallel()
	file := writeMail(t, hostile)
	for _, args := range [][]string{
		{}, {file, file}, {"--text", "--tree", file}, {"--mailbox-mode", "journals", file}, {file + ".none"}, {filepath.Dir(file)}, {"--json", file},
	} {
		if status, out, stderr := parseCommand(t, args...); status != 2 || out != "" || !strings.HasPrefix(stderr, "mailkeep: error: ") {
			t.Errorf("%q: status %d, %q, %q", args, status, out, stderr)
		}
	}
}

// Show tells of recipients by their roles, and which reports tell of them.
func TestShowEnvelope(t *testing.T) {
	t.Parallel()
	m := message()
	m.Envelope = &mail.Envelope{Source: "exchange-journal", Sender: "ann@example.org", Recipients: []mail.Recipient{{Role: "bcc", Addr: "dora@example.org"}}}
	all := *m.Envelope
	all.Recipients = append(all.Recipients, mail.Recipient{Role: "to", Addr: "bert@example.org", ExpandedFrom: "team@example.org"})
	copies := &app.Copies{IDs: []mail.ID{{Seq: 9}, {Seq: 7}}, More: true, Envelope: &all}
	var out bytes.Buffer
	if err := renderMessage(&out, record(), m, copies, false, plainStyle); err != nil {
		t.Fatal(err)
	}
	want := "Envelope, by exchange-journal:\n      Sender: ann@example.org\n      To: bert@example.org (by the list team@example.org)\n" +
		"      Bcc: dora@example.org\n      Told by: 0-9, 0-7 and others\n"
	if !strings.Contains(out.String(), want) {
		t.Errorf("got\n%s", out.String())
	}
}

func TestReparseArguments(t *testing.T) {
	var got mail.ReparseOrder
	a := application{Reparse: func(_ context.Context, _ *configs.Config, o mail.ReparseOrder, c app.Console) (mail.Reparsed, error) {
		got = o
		c.Progress(app.Progress{Phase: app.PhaseReparse, Subject: "archive", Done: 1, Total: 3})
		return mail.Reparsed{Found: 1234, Done: 1200}, nil
	}}
	for _, tc := range []struct {
		args string
		want mail.ReparseOrder
		out  string
	}{
		{"--older-than current", mail.ReparseOrder{OlderThan: app.ParserVersion()}, "1,200 messages read again\n"},
		{"--older-than 1 --dry-run", mail.ReparseOrder{OlderThan: 1, DryRun: true}, "1,234 messages would be read again\n"},
		{"--with-defect EXT_TIMEOUT --mailbox office", mail.ReparseOrder{Defect: "EXT_TIMEOUT", Mailbox: "office"}, "1,200 messages read again\n"},
		{"--query is:journal --json", mail.ReparseOrder{Query: "is:journal"}, "{\n  \"found\": 1234,\n  \"done\": 1200\n}\n"},
	} {
		status, out, stderr := execute(t, a, append([]string{"reparse"}, strings.Fields(tc.args)...)...)
		if status != 0 || got != tc.want || out != tc.out {
			t.Errorf("%s: status %d, %+v, %q, %s", tc.args, status, got, out, stderr)
		}
	}
	for _, args := range []string{"", "--dry-run", "--older-than 0", "--older-than newest", "office", "--with-defects x"} {
		if status, _, stderr := execute(t, a, append([]string{"reparse"}, strings.Fields(args)...)...); status != 2 || !strings.Contains(stderr, "reparse --help") {
			t.Errorf("%q: status %d, %s", args, status, stderr)
		}
	}
}
