package main

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/internal/app"
	"github.com/mailkeep/mailkeep/mail"
)

// mailboxTest returns the command that looks at mailboxes.
func (p *program) mailboxTest() *cobra.Command {
	var asJSON, force bool
	cmd := &cobra.Command{
		Use:   "test mailbox...",
		Short: "connect, log in and tell what a drain would do, without changing anything",
		Long: `Test connects to the servers of the named mailboxes as a drain would, logs in, asks
for capabilities, sizes and unique-ids, compares them with the archive, and tells
what a drain would fetch, delete and leave. It fetches nothing and marks nothing,
so the QUIT at its end deletes nothing.

While mailkeep runs, the running process does the test, within its limits. A
mailbox that is in a session is in use: status 5. A wrong password counts as one of
the three attempts after which a mailbox is left alone; one that is left alone is
not tried, unless --force is given.

The exit status is 3 if some mailboxes failed.`,
		Example: `  mailkeep mailbox test office
  mailkeep mailbox test office sales --json | jq '.[] | {mailbox, forecast}'`,
		Args:              someArgs("the names of the mailboxes to test"),
		ValidArgsFunction: p.completeMailboxes,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.runMailboxTest(cmd, args, force, asJSON)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "log in even though the password was refused three times")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the reports as JSON")
	return cmd
}

func (p *program) runMailboxTest(cmd *cobra.Command, names []string, force, asJSON bool) error {
	c, err := p.load(cmd, false)
	if err != nil {
		return err
	}
	reports, err := p.app.Probe(cmd.Context(), c, names, force, app.Console{Logs: p.stderr})
	if err != nil {
		return err
	}
	if asJSON {
		err = printJSON(p.stdout, reports)
	} else {
		err = renderProbes(p.stdout, reports, p.style().zone)
	}
	if err != nil {
		return err
	}
	kinds := make([]string, len(reports))
	for i, r := range reports {
		kinds[i] = r.Kind
	}
	return mailboxesError(kinds, "drained as it is configured now")
}

func renderProbes(out io.Writer, reports []app.ProbeReport, zone *time.Location) error {
	w := bufio.NewWriter(out)
	for i, r := range reports {
		if i > 0 {
			fmt.Fprintln(w)
		}
		renderProbe(w, r, zone)
	}
	return w.Flush()
}

func renderProbe(w io.Writer, r app.ProbeReport, zone *time.Location) {
	printLine(w, fmt.Sprintf("%s: %s on %s", r.Mailbox, r.User, r.Host))
	line := func(label, format string, args ...any) {
		printLine(w, fmt.Sprintf("  %-13s ", label)+fmt.Sprintf(format, args...))
	}
	if c := r.Connection; c != nil {
		line("connection", "%s", connection(r.Security, c, zone))
		line("before login", "%s", announced(c.Capabilities))
	}
	if l := r.Login; l != nil {
		line("login", "accepted, by %s", l.Mechanism)
		line("after login", "%s", announced(l.Capabilities))
		line("mailbox", "%s, %s", count(l.Messages, "message"), octets(l.Octets))
	}
	if l := r.Listing; l != nil {
		line("unique-ids", "%s", uniqueIDs(l))
	}
	if f := r.Forecast; f != nil {
		line("archive", "has %s of these messages", grouped(f.Sealed))
		line("a drain would", "%s", forecast(f, r.Delete))
	}
	for _, n := range r.Notes {
		line("note", "%s%s", n.Text, hinted(n.Hint))
	}
	if r.Error != "" {
		line("FAILED", "%s: %s%s", r.Outcome, r.Error, hinted(r.Hint))
	}
	line("ended", "%s, after %s", ending(r), took(r.Took))
}

func hinted(hint string) string {
	if hint == "" {
		return ""
	}
	return " (" + hint + ")"
}

func connection(security string, c *app.ProbedConnection, zone *time.Location) string {
	if c.TLS == "" {
		return security
	}
	text := security + ", " + c.TLS
	if !c.CertExpiry.IsZero() {
		text += ", certificate valid until " + day(c.CertExpiry, zone)
	}
	return text
}

func announced(words []string) string {
	switch {
	case words == nil:
		return "no answer to CAPA"
	case len(words) == 0:
		return "no capability that mailkeep knows"
	}
	return strings.Join(words, ", ")
}

func uniqueIDs(l *app.ProbedListing) string {
	switch {
	case !l.Uidl:
		return "none: the server has no UIDL"
	case l.Repeated+l.Nameless > 0:
		return fmt.Sprintf("%s of %s messages have one of their own", grouped(l.Messages-l.Repeated-l.Nameless), grouped(l.Messages))
	}
	return "each message has one of its own"
}

// forecast tells what would happen to the messages, the most harmful first.
func forecast(f *app.Forecast, policy string) string {
	then := " and delete them once they are sealed"
	if policy != configs.DeleteAfterSeal {
		then = " and leave them (delete: " + policy + ")"
	}
	var parts []string
	add := func(n int, format string, args ...any) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	if f.Breaker != "" {
		parts = append(parts, "delete nothing ("+f.Breaker+")")
	} else {
		add(f.Delete, "delete %s that are sealed, after a check", grouped(f.Delete))
	}
	add(f.Fetch, "fetch %s (%s)%s", grouped(f.Fetch), octets(f.Octets), then)
	for _, why := range slices.Sorted(maps.Keys(f.Left)) {
		add(f.Left[why], "leave %s (%s)", grouped(f.Left[why]), why)
	}
	add(f.Unasked, "handle %s more, at which this test did not look", grouped(f.Unasked))
	if len(parts) == 0 {
		return "find nothing to do"
	}
	return strings.Join(parts, "; ")
}

func ending(r app.ProbeReport) string {
	switch r.Quit {
	case mail.QuitAcked:
		return "by QUIT; nothing was fetched and nothing marked, so nothing is deleted"
	case mail.QuitNone:
		return "without QUIT: the server deletes nothing"
	}
	return "by QUIT, " + string(r.Quit) + "; nothing was fetched and nothing marked, so nothing is deleted"
}
