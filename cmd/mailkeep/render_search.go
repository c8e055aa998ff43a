package main

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/mail"
)

const dateForm = "2006-01-02 15:04"

// renderAnswer prints a page of hits and what the answer rests on.
func renderAnswer(out io.Writer, a mail.SearchAnswer, s style) error {
	w := bufio.NewWriter(out)
	for _, warning := range a.Warnings {
		printLine(w, fmt.Sprintf("note: at character %d: %s", warning.Pos+1, warning.Text))
	}
	for line := range strings.Lines(a.Explanation) {
		printLine(w, "understood: "+strings.TrimRight(line, "\n"))
	}
	for _, h := range a.Hits {
		renderHit(w, h, s)
	}
	renderTotal(w, a)
	renderFacets(w, a.Facets)
	renderCoverage(w, a.Coverage)
	return w.Flush()
}

// renderHit prints one message: a line to identify it, its header, and where it
// matches.
func renderHit(w io.Writer, h mail.Hit, s style) {
	fmt.Fprintf(w, "%s  %s  %s  %s\n", paint(s.strong, h.ID.String()), day(h.Date, s.zone), printable(h.Mailbox), octets(h.Size))
	subject := printable(h.Subject)
	snippets := slices.Clone(h.Snippets)
	// The subject is printed once, with its marks where it has some.
	if i := slices.IndexFunc(snippets, func(f mail.Fragment) bool { return f.Field == "subject" }); i >= 0 {
		subject = highlight(snippets[i], s)
		snippets = slices.Delete(snippets, i, i+1)
	}
	renderLine(w, "subject", subject)
	renderLine(w, "from", printable(h.From))
	renderLine(w, "to", printable(h.To))
	renderLine(w, "attached", printable(strings.Join(h.Attachments, ", ")))
	if h.Group != nil && h.Group.Members > 1 {
		renderLine(w, "group", fmt.Sprintf("%s, with %s that match", printable(h.Group.Key), count(h.Group.Members, "message")))
	}
	for _, status := range h.Partly {
		renderLine(w, "not read", textReasons[status])
	}
	for _, f := range snippets {
		renderLine(w, printable(f.Field), "… "+highlight(f, s)+" …")
	}
	fmt.Fprintln(w)
}

func renderLine(w io.Writer, name, value string) {
	if value != "" {
		fmt.Fprintf(w, "    %-9s %s\n", name+":", value)
	}
}

// highlight returns the text of f, fit for a terminal, with its matches marked.
// Marks that do not lie in the text, or are out of order, are left out: they
// come from outside this program's control when the answer came over a wire.
func highlight(f mail.Fragment, s style) string {
	var b strings.Builder
	at := 0
	for _, m := range f.Marks {
		if m[0] < at || m[1] <= m[0] || m[1] > len(f.Text) {
			continue
		}
		b.WriteString(printable(f.Text[at:m[0]]))
		b.WriteString(paint(s.match, printable(f.Text[m[0]:m[1]])))
		at = m[1]
	}
	b.WriteString(printable(f.Text[at:]))
	return b.String()
}

func renderTotal(w io.Writer, a mail.SearchAnswer) {
	switch {
	case a.Total == 0:
		fmt.Fprintln(w, "no messages match")
	case uint64(len(a.Hits)) == a.Total || len(a.Hits) == 0:
		fmt.Fprintln(w, count(a.Total, "message"))
	default:
		fmt.Fprintf(w, "%s of %s\n", grouped(len(a.Hits)), count(a.Total, "message"))
	}
	if a.Groups > 0 {
		fmt.Fprintf(w, "in %s\n", count(a.Groups, "group"))
	}
	if a.Next != "" {
		fmt.Fprintf(w, "more: --after %s\n", printable(a.Next))
	}
}

// renderFacets prints how many hits have each value.
func renderFacets(w io.Writer, all []mail.Facet) {
	for _, f := range all {
		fmt.Fprintf(w, "by %s: %s\n", f.Name, count(f.Distinct, "value"))
		for _, v := range f.Values {
			fmt.Fprintf(w, "    %8s  %s\n", grouped(v.Count), printable(v.Value))
		}
		if f.Off > 0 {
			fmt.Fprintf(w, "    each may be up to %s more: too many values for exact counts\n", grouped(f.Off))
		}
	}
}

// renderCoverage says how much of the archive was searched; silence about it
// would read as "everything".
func renderCoverage(w io.Writer, c mail.Coverage) {
	var position, size uint64
	for _, cur := range c.Cursors {
		position += cur.Position
		size += cur.Size
	}
	if c.Complete {
		fmt.Fprintf(w, "searched: all %s of the archive\n", count(size, "record"))
	} else {
		fmt.Fprintf(w, "NOT COMPLETE: searched %s of %s; the index is catching up or damaged (see mailkeep status)\n",
			grouped(position), count(size, "record"))
	}
	for _, f := range c.Failed {
		printLine(w, "NOT SEARCHED: "+f)
	}
	for _, g := range c.Missing {
		printLine(w, fmt.Sprintf("NOT SEARCHED: records %d to %d of partition %d: %s", g.From, g.To-1, g.Partition, g.Why))
	}
	for _, status := range []mail.TextStatus{mail.TextEncrypted, mail.TextFailed, mail.TextTruncated, mail.TextTimeout, mail.TextUnsupported, mail.TextSkipped} {
		if n := c.Partly[status]; n > 0 {
			fmt.Fprintf(w, "not fully readable: %s: %s\n", count(n, "message"), textReasons[status])
		}
	}
}

var textReasons = map[mail.TextStatus]string{
	mail.TextEncrypted:   "encrypted",
	mail.TextFailed:      "the text could not be read",
	mail.TextTruncated:   "longer than the limit; its start was searched",
	mail.TextTimeout:     "reading the text took too long",
	mail.TextUnsupported: "documents whose format is not read",
	mail.TextSkipped:     "texts of attachments are not read, or a message had too many",
}

// day prints a date in the reader's zone; a style without one is UTC.
func day(t time.Time, zone *time.Location) string {
	if t.IsZero() {
		return "no date         "
	}
	if zone == nil {
		zone = time.UTC
	}
	return t.In(zone).Format(dateForm)
}

func durationOf(d configs.Duration) time.Duration { return time.Duration(d) }
