package parser

import "strings"

// fieldNames maps the names of fields, as they are usually written, to their
// lower case, so that reading a header does not make the same strings again.
var fieldNames = nameTable(
	"Received", "Return-Path", "Delivered-To", "X-Original-To", "From", "Sender", "Reply-To", "To", "Cc", "CC", "Bcc", "Subject", "Date",
	"Message-ID", "Message-Id", "Message-id", "In-Reply-To", "References", "MIME-Version", "Mime-Version", "Content-Type", "Content-type",
	"Content-Transfer-Encoding", "Content-transfer-encoding", "Content-Disposition", "Content-disposition", "Content-ID", "Content-Id",
	"Content-Language", "Content-Length", "Content-Description", "DKIM-Signature", "DomainKey-Signature", "ARC-Seal", "ARC-Message-Signature",
	"ARC-Authentication-Results", "Authentication-Results", "Received-SPF", "X-Mailer", "User-Agent", "X-Priority", "X-MSMail-Priority",
	"Importance", "Priority", "Precedence", "Auto-Submitted", "List-Id", "List-ID", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Post",
	"List-Help", "List-Subscribe", "List-Archive", "Errors-To", "Thread-Index", "Thread-Topic", "X-Spam-Status", "X-Spam-Score",
	"X-Spam-Flag", "X-Spam-Level", "X-Spam-Checker-Version", "X-Virus-Scanned", "X-Originating-IP", "X-MimeOLE", "Status", "Lines", "Organization",
	"Feedback-ID", "X-Google-DKIM-Signature", "X-Received", "X-Gm-Message-State", "Accept-Language", "X-Loop", "Resent-From", "Resent-Date",
)

func nameTable(names ...string) map[string]nameCase {
	t := make(map[string]nameCase, 2*len(names))
	for _, name := range names {
		low := strings.ToLower(name)
		t[name] = nameCase{low, name}
		t[low] = nameCase{low, low}
	}
	return t
}

// A nameCase is a field name in lower case and as it was written.
type nameCase struct{ low, written string }

// nameOf returns a field name in both forms.
func nameOf(b []byte) nameCase {
	if n, ok := fieldNames[string(b)]; ok {
		return n
	}
	written := string(b)
	return nameCase{strings.ToLower(written), written}
}
