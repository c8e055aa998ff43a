package main

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// csvHeads are the columns of a list of hits; those that not every search has come
// last, so that a column keeps its place.
var csvHeads = []string{"id", "date", "sealed", "mailbox", "from", "to", "subject", "size", "attachments", "thread", "score", "group", "members", "not_readable"}

// renderCSV prints one line for each hit, as RFC 4180 has it. What the answer rests
// on is told apart, by renderCoverage.
func renderCSV(out io.Writer, a mail.SearchAnswer) error {
	w := csv.NewWriter(out)
	_ = w.Write(csvHeads) // Error tells
	for _, h := range a.Hits {
		_ = w.Write(csvLine(h))
	}
	w.Flush()
	return w.Error()
}

func csvLine(h mail.Hit) []string {
	line := []string{
		h.ID.String(), csvTime(h.Date), csvTime(h.Sealed), csvText(h.Mailbox), csvText(h.From), csvText(h.To), csvText(h.Subject),
		strconv.FormatInt(h.Size, 10), csvText(strings.Join(h.Attachments, "; ")), "", "", "", "", "",
	}
	if h.Thread != nil {
		line[9] = h.Thread.String()
	}
	if h.Score != 0 {
		line[10] = strconv.FormatFloat(h.Score, 'g', 6, 64)
	}
	if h.Group != nil {
		line[11], line[12] = h.Group.Key, strconv.FormatUint(h.Group.Members, 10)
	}
	reasons := make([]string, len(h.Partly))
	for i, s := range h.Partly {
		reasons[i] = string(s)
	}
	line[13] = strings.Join(reasons, " ")
	return line
}

func csvTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// csvText returns text that others have written as one line that no program for
// spreadsheets takes for a formula: such programs run what begins with =, +, - or @,
// also behind white space, so an apostrophe comes before it (OWASP, "CSV Injection").
func csvText(s string) string {
	s = strings.TrimSpace(printable(s))
	if s != "" && strings.ContainsRune("=+-@\uFF1D\uFF0B\uFF0D\uFF20|%", []rune(s)[0]) {
		return "'" + s
	}
	return s
}
