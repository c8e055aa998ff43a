package parser

import (
	"strings"

	"github.com/mailkeep/mailkeep/mail"
)

// Documents returns the indexes of the parts whose text Parse leaves to an
// extractor, in the order of the parts: what may hold text that is not read
// here. With pictures, those are among them.
func Documents(m *mail.Message, pictures bool) []int {
	var found []int
	for i, p := range m.Parts {
		if p.TextStatus == mail.TextUnsupported || pictures && p.TextStatus == mail.TextNone && strings.HasPrefix(p.Type, "image/") {
			found = append(found, i)
		}
	}
	return found
}

// extracted are the codes for texts that are not whole, by the status of the
// part.
var extracted = map[mail.TextStatus]string{
	mail.TextEncrypted: "EXT_ENCRYPTED", mail.TextUnsupported: "EXT_UNSUPPORTED", mail.TextFailed: "EXT_FAILED",
	mail.TextTimeout: "EXT_TIMEOUT", mail.TextTruncated: "EXT_TRUNCATED", mail.TextSkipped: "EXT_SKIPPED",
}

// RestateTexts makes the EXT_ defects of m those of its parts, after extractors
// have set texts and statuses of the parts with the indexes. detail tells what
// the extractor of a part says.
func RestateTexts(m *mail.Message, parts []int, detail map[int]string) {
	d := &defects{}
	for _, old := range m.Defects {
		if !strings.HasPrefix(old.Code, "EXT_") {
			d.list = append(d.list, old)
		}
	}
	mine := make(map[int]bool, len(parts))
	for _, i := range parts {
		mine[i] = true
	}
	for i, p := range m.Parts {
		code := extracted[p.TextStatus]
		if code == "" || !mine[i] && (p.TextStatus == mail.TextTruncated || p.TextStatus == mail.TextFailed) { // of the parser's own, which it tells otherwise
			continue
		}
		says := p.Type
		if detail[i] != "" {
			says = detail[i]
		}
		d.add(code, p.Path, p.OffBody, says)
	}
	m.Defects = d.sorted()
}
