package parser_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser"
)

const dsnFields = "Content-Type: message/delivery-status\n\n" +
	"Reporting-MTA: dns; mx.example.org\nX-Original-Message-ID: <mine@example.org>\n\n" +
	"Final-Recipient: rfc822; Ann@Example.ORG.\nOriginal-Recipient: rfc822;<ann@old.example>\nAction: Failed\nStatus: 5.1.1 (no such user)\n" +
	"Diagnostic-Code: smtp; 550 5.1.1\n  no such user\n\n" +
	"Final-Recipient: utf-8; j\\x{F6}rg@b\\x{FC}cher.example\nAction: delayed\nStatus: 4.4.1\n"

func TestReports(t *testing.T) {
	t.Parallel()
	returned := "Content-Type: message/rfc822\n\nMessage-ID: <returned@example.org>\nSubject: lost\n\nwords"
	for name, tc := range map[string]struct {
		in   string
		want *mail.Report
	}{
		"no report": {plainPart, nil},
		"dsn": {multi("report", "r", plainPart, dsnFields, returned), &mail.Report{Kind: "dsn", OriginalID: "mine@example.org", Recipients: []mail.ReportRecipient{
			{Final: "ann@example.org", Original: "ann@old.example", Action: "failed", Status: "5.1.1", Diagnostic: "550 5.1.1 no such user"},
			{Final: "jörg@xn--bcher-kva.example", Action: "delayed", Status: "4.4.1"},
		}}},
		"dsn with the returned message": {
			multi("report", "r", plainPart, "Content-Type: message/delivery-status\n\nAction: failed\n", returned),
			&mail.Report{Kind: "dsn", OriginalID: "returned@example.org", Recipients: []mail.ReportRecipient{{Action: "failed"}}},
		},
		"dsn with the returned header": {
			multi("report", "r", plainPart, "Content-Type: message/delivery-status\n\nStatus: 4.0.0\n", "Content-Type: text/rfc822-headers\n\nSubject: a\nMessage-Id:\n <head@example.org>\n"),
			&mail.Report{Kind: "dsn", OriginalID: "head@example.org", Recipients: []mail.ReportRecipient{{Status: "4.0.0"}}},
		},
		"mdn": {
			multi("report", "r", plainPart, "Content-Type: message/disposition-notification\n\nReporting-UA: x\nFinal-Recipient: rfc822;bob@example.org\n"+
				"Original-Message-ID: <asked@example.org>\nDisposition: manual-action/MDN-sent-manually; displayed/error\n\nError: unlucky\n"),
			&mail.Report{Kind: "mdn", OriginalID: "asked@example.org", Recipients: []mail.ReportRecipient{{Final: "bob@example.org", Action: "displayed", Diagnostic: "unlucky"}}},
		},
		"arf": {
			multi("report", "r", plainPart, "Content-Type: message/feedback-report\n\nFeedback-Type: Abuse\nVersion: 1\nOriginal-Rcpt-To: <a@example.org>\nOriginal-Rcpt-To: b@example.org\n", returned),
			&mail.Report{Kind: "arf", Feedback: "abuse", OriginalID: "returned@example.org", Recipients: []mail.ReportRecipient{{Original: "a@example.org"}, {Original: "b@example.org"}}},
		},
		"encoded": {
			"Content-Type: message/delivery-status\nContent-Transfer-Encoding: base64\n\nQWN0aW9uOiByZWxheWVkCg==",
			&mail.Report{Kind: "dsn", Recipients: []mail.ReportRecipient{{Action: "relayed"}}},
		},
		"a report that is forwarded": {"Content-Type: message/rfc822\n\n" + multi("report", "r", plainPart, dsnFields), nil},
		"nothing in it":              {multi("report", "r", plainPart, "Content-Type: message/delivery-status\n\n"), &mail.Report{Kind: "dsn"}},
		"not of mail":                {"Content-Type: message/delivery-status\n\nFinal-Recipient: x400; /S=ann/\n", &mail.Report{Kind: "dsn"}},
		"broken escapes":             {"Content-Type: message/delivery-status\n\nFinal-Recipient: utf-8; \\x{zz}\\x{a@example.org\n", &mail.Report{Kind: "dsn", Recipients: []mail.ReportRecipient{{Final: "\\x{zz}\\x{a@example.org"}}}},
	} {
		if diff := cmp.Diff(tc.want, parser.Parse([]byte(tc.in)).Report); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestReportIsLimited(t *testing.T) {
	t.Parallel()
	in := "Content-Type: message/delivery-status\n\n" + repeatf(10, "Final-Recipient: rfc822; u%d@example.org\n\n")
	m, _ := parser.ParseSpans([]byte(in), parser.Limits{Addresses: 3})
	if n := len(m.Report.Recipients); n != 3 {
		t.Errorf("%d recipients", n)
	}
	m = parser.Parse([]byte("Content-Type: message/delivery-status\n\n" + repeatf(6000, "X-%d: y\n")))
	wantDefects(t, m, "LIM_FIELDS")
}
