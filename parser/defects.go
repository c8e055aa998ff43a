package parser

import (
	"slices"
	"strings"

	"github.com/mailkeep/mailkeep/mail"
)

// severities is the table of all defect codes. What each means:
//
//	EOL_BARE_CR   lines end with CR alone          EOL_MIXED      CR LF and LF both end lines
//	EOL_MULTI_CR  a line ends with CR CR LF        HDR_NONE       no header at all
//	HDR_BOM       byte order mark before it        HDR_MBOX_FROM  mbox "From " line before or in it
//	HDR_LEADING_BLANK  blank lines before it       HDR_LEADING_WSP  its first line begins with space
//	HDR_JUNK_LINE a line that is no field, skipped HDR_LOST_FOLD  a continuation without its space
//	HDR_NO_BLANK  body follows without blank line  HDR_WSP_LINE   a continuation of nothing but space
//	HDR_LONG_LINE over 998 octets (RFC 5322 2.1.1) HDR_NUL        NUL in a field
//	HDR_8BIT_RAW  octets above 127 in an unknown charset in a field
//	HDR_UTF8_RAW  UTF-8 in a field (legal only under RFC 6532)
//	HDR_BAD_2047  a broken encoded word            HDR_BAD_2231   a broken or gapped parameter
//	HDR_CRLF_IN_WORD   an encoded word hides a line end or NUL: header injection
//	HDR_DUP_SINGLETON  a field that may stand once stands again
//	ADDR_LENIENT  an address list that is not RFC 5322; read by guesses
//	ADDR_NONE     From is missing or holds no address
//	DATE_MISSING, DATE_BAD (unreadable), DATE_LENIENT (not RFC 5322), DATE_IMPLAUSIBLE (before 1980, or a day past Received)
//	MSGID_MISSING, MSGID_BAD (not in angle brackets, or without @)
//	MIME_BAD_CTYPE a Content-Type that is not type/subtype
//	MIME_NO_BOUNDARY, MIME_BOUNDARY_NOT_FOUND, MIME_BOUNDARY_GUESSED (the lines say another), MIME_NO_CLOSE
//	MIME_TEXT_OUTSIDE  text before the first or after the last part of a multipart; it is in Message.Text
//	CTE_UNKNOWN   encoding not known; octets taken as they are
//	CTE_BAD_BASE64, CTE_BAD_QP  broken; read by a decoder that goes on
//	CTE_UU        uuencode, which MIME never had
//	CS_UNKNOWN, CS_DETECTED (octets chose the charset), CS_INVALID_BYTES, CS_8BIT_UNDECLARED
//	LIM_...       a limit was reached (see Limits)
//	EXT_ENCRYPTED, EXT_UNSUPPORTED  the part's text cannot be read
//	EXT_FAILED    the extractor found no way to read it, or ended in a crash, twice
//	EXT_TIMEOUT   the extractor took too long, twice
//	EXT_TRUNCATED the text of the part, or of a document in it, is not whole
//	EXT_SKIPPED   texts of attachments are switched off, or the mail's budget for them was spent
//	GM_FALLBACK   go-message refused a body that was then read leniently
//	EMPTY         no octets, or only line ends
//	JOURNAL_UNPARSED    a journal report that is not understood; read as an ordinary mail
//	JOURNAL_PARTLY      lines of a journal report that are not understood, or no recipient in it
//	JOURNAL_NO_MESSAGE  a journal report without the message it is about
//	ENVELOPE_UNKNOWN    nothing that the mailbox trusts says whom the message was for
//	PANIC         the parser failed on this message; its raw bytes became its text
var severities = map[string]mail.Severity{
	"EOL_BARE_CR": mail.Warn, "EOL_MIXED": mail.Info, "EOL_MULTI_CR": mail.Info,
	"HDR_NONE": mail.Warn, "HDR_BOM": mail.Info, "HDR_MBOX_FROM": mail.Info, "HDR_LEADING_BLANK": mail.Warn,
	"HDR_LEADING_WSP": mail.Warn, "HDR_JUNK_LINE": mail.Warn, "HDR_LOST_FOLD": mail.Warn, "HDR_NO_BLANK": mail.Warn,
	"HDR_WSP_LINE": mail.Info, "HDR_LONG_LINE": mail.Info, "HDR_NUL": mail.Warn, "HDR_8BIT_RAW": mail.Warn,
	"HDR_UTF8_RAW": mail.Info, "HDR_BAD_2047": mail.Warn, "HDR_BAD_2231": mail.Warn, "HDR_CRLF_IN_WORD": mail.Warn,
	"HDR_DUP_SINGLETON": mail.Warn,
	"ADDR_LENIENT":      mail.Info, "ADDR_NONE": mail.Warn,
	"DATE_MISSING": mail.Warn, "DATE_LENIENT": mail.Info, "DATE_BAD": mail.Warn, "DATE_IMPLAUSIBLE": mail.Warn,
	"MSGID_MISSING": mail.Info, "MSGID_BAD": mail.Info,
	"MIME_BAD_CTYPE": mail.Warn, "MIME_NO_BOUNDARY": mail.Warn, "MIME_BOUNDARY_NOT_FOUND": mail.Warn,
	"MIME_BOUNDARY_GUESSED": mail.Warn, "MIME_NO_CLOSE": mail.Warn, "MIME_TEXT_OUTSIDE": mail.Info,
	"CTE_UNKNOWN": mail.Warn, "CTE_BAD_BASE64": mail.Warn, "CTE_BAD_QP": mail.Warn, "CTE_UU": mail.Info,
	"CS_UNKNOWN": mail.Warn, "CS_DETECTED": mail.Info, "CS_INVALID_BYTES": mail.Warn, "CS_8BIT_UNDECLARED": mail.Info,
	"LIM_BOUNDARY": mail.Warn, "LIM_HEADER": mail.Warn, "LIM_FIELDS": mail.Loss, "LIM_VALUE": mail.Warn, "LIM_ADDRESSES": mail.Loss,
	"LIM_WORDS": mail.Loss, "LIM_PARAMS": mail.Loss, "LIM_PARTS": mail.Warn, "LIM_DEPTH": mail.Warn, "LIM_TEXT": mail.Loss,
	"EXT_ENCRYPTED": mail.Loss, "EXT_UNSUPPORTED": mail.Loss, "EXT_FAILED": mail.Loss, "EXT_TIMEOUT": mail.Loss,
	"EXT_TRUNCATED": mail.Loss, "EXT_SKIPPED": mail.Loss,
	"GM_FALLBACK": mail.Info, "EMPTY": mail.Info, "PANIC": mail.Loss,
	"JOURNAL_UNPARSED": mail.Warn, "JOURNAL_PARTLY": mail.Info, "JOURNAL_NO_MESSAGE": mail.Warn, "ENVELOPE_UNKNOWN": mail.Info,
}

// defects collects what is wrong, one entry per code: its count and where it
// was first. So a message has at most as many defects as there are codes.
type defects struct{ list []mail.Defect }

// add counts a defect of the code. part is the path of the part, "" for the
// header of the message; off is where it is in the raw bytes.
func (d *defects) add(code, part string, off int64, detail string) {
	for i := range d.list {
		if d.list[i].Code == code {
			d.list[i].Count++
			return
		}
	}
	d.list = append(d.list, mail.Defect{
		Code: code, Severity: severities[code], Part: part, Off: off, Count: 1, Detail: detail,
	})
}

// sorted returns the defects in the order of their first offset.
func (d *defects) sorted() []mail.Defect {
	slices.SortStableFunc(d.list, func(a, b mail.Defect) int {
		if a.Off != b.Off {
			return int(max(-1, min(1, a.Off-b.Off)))
		}
		return strings.Compare(a.Code, b.Code)
	})
	return d.list
}

// Severity returns the severity of a code of the table, "" for any other.
func Severity(code string) mail.Severity { return severities[code] }
