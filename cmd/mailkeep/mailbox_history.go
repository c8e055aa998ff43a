package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/internal/app"
	"github.com/mailkeep/mailkeep/mail"
)

// mailboxHistory returns the command that tells what sessions have done.
func (p *program) mailboxHistory() *cobra.Command {
	var asJSON, messages bool
	var limit int
	cmd := &cobra.Command{
		Use:   "history mailbox",
		Short: "tell what the sessions of a mailbox have done, the latest first",
		Long: `History prints the reports that the sessions of a mailbox left in the ledger, the
latest first: what was listed, fetched, sealed, deleted and held back, how QUIT
ended, and the error if there was one. Sessions that found nothing to do leave one
report an hour, which counts them. Sessions that failed before login leave none;
mailkeep status tells of the last one.

With --messages, each session is followed by the fate of each message: its number
and unique-id on the server, its size, the record that seals it, and whether it
was deleted or why not.`,
		Example: `  mailkeep mailbox history office
  mailkeep mailbox history office --limit 1 --messages
  mailkeep mailbox history office --json | jq '.sessions[] | select(.outcome != "ok")'`,
		Args:              exactArgs(1, "the name of one mailbox"),
		ValidArgsFunction: p.oneMailbox,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.runMailboxHistory(cmd, args[0], limit, messages, asJSON)
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 20, "most `sessions` to tell of")
	cmd.Flags().BoolVar(&messages, "messages", false, "tell the fate of each message too")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the reports as JSON")
	return cmd
}

func (p *program) runMailboxHistory(cmd *cobra.Command, name string, limit int, messages, asJSON bool) error {
	if limit < 1 || limit > app.MaxHistory {
		return usagef(cmd.CommandPath(), "--limit must be 1 to %d", app.MaxHistory)
	}
	return p.withClient(cmd, func(ctx context.Context, _ *configs.Config, cl client) error {
		h, err := cl.History(ctx, name, limit, messages)
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(p.stdout, h)
		}
		return renderHistory(p.stdout, h, p.style().zone)
	})
}

func renderHistory(out io.Writer, h app.History, zone *time.Location) error {
	w := bufio.NewWriter(out)
	if len(h.Sessions) == 0 {
		printLine(w, h.Mailbox+": no session is in the archive yet")
	} else if err := renderSessions(w, h.Sessions, zone); err != nil {
		return err
	}
	if behind := h.Coverage.Size - min(h.Coverage.Size, h.Coverage.Position); behind > 0 {
		fmt.Fprintf(w, "the catalog is %s behind: sessions of the last moments may be missing\n", count(behind, "record"))
	}
	if !h.Configured {
		fmt.Fprintln(w, "the mailbox is not in the configuration any more")
	}
	return w.Flush()
}

// renderSessions prints a table whose lines are followed by what belongs to
// them. The table is laid out first, so that what stands between its lines does
// not move its columns.
func renderSessions(w io.Writer, sessions []app.SessionReport, zone *time.Location) error {
	var table strings.Builder
	tw := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "STARTED\tTOOK\tLISTED\tFETCHED\tSEALED\tDELETED\tHELD\tQUIT\tOUTCOME\tHOST\tWORKER")
	for _, s := range sessions {
		fmt.Fprintf(tw, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%s\n", s.Started.In(cmp.Or(zone, time.UTC)).Format("2006-01-02 15:04:05"),
			took(s.Ended.Sub(s.Started)), s.Listed, s.Fetched, s.Sealed, s.Deleted, s.Held,
			printable(string(s.Quit)), printable(s.Outcome), printable(s.Host), printable(s.Worker))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	lines := strings.Split(table.String(), "\n")
	fmt.Fprintln(w, lines[0])
	for i, s := range sessions {
		fmt.Fprintln(w, lines[i+1])
		if err := renderSession(w, s); err != nil {
			return err
		}
	}
	return nil
}

// renderSession prints what stands below the line of a session.
func renderSession(w io.Writer, s app.SessionReport) error {
	for _, line := range remarks(s) {
		printLine(w, "    "+line)
	}
	if len(s.Rows) == 0 {
		return nil
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "    MESSAGE\tSIZE\tSEALED AS\tFATE\tUNIQUE-ID")
	for _, r := range s.Rows {
		fmt.Fprintf(tw, "    %d\t%s\t%s\t%s\t%s\n", r.Number, listedSize(r.Size), sealedAs(r), printable(fate(r)), uniqueID(r.UIDL))
	}
	return tw.Flush()
}

// remarks tell what the columns do not, what matters most first.
func remarks(s app.SessionReport) []string {
	var lines []string
	if s.Error != "" {
		lines = append(lines, "error: "+s.Error)
	}
	if s.Breaker != "" {
		lines = append(lines, "nothing was deleted: "+s.Breaker)
	}
	if v := s.Vanished; v != nil {
		lines = append(lines, fmt.Sprintf("vanished, and not deleted by mailkeep: %s that the archive has, %s that it may not have", grouped(v.Sealed), grouped(v.Unsealed)))
	}
	if c := s.Confirmed; c != nil {
		line := fmt.Sprintf("of what session %s asked to delete (QUIT %s), %s are gone", c.Session, c.Quit, grouped(c.Gone))
		if c.Back > 0 {
			line += fmt.Sprintf(" and %s are still listed", grouped(c.Back))
		}
		lines = append(lines, line)
	}
	for _, n := range s.Notes {
		lines = append(lines, "note: "+string(n)+noteMeaning(n))
	}
	if s.Quiet > 0 {
		lines = append(lines, count(s.Quiet, "session")+" before it had nothing to do")
	}
	return lines
}

// noteMeaning explains the notes that this version knows.
func noteMeaning(n mail.Note) string {
	switch n {
	case mail.NoteEpoch:
		return ", the server gave all messages other unique-ids"
	case mail.NoteExpire:
		return ", the server deletes mail by itself sooner than the policy wants"
	case mail.NoteClock:
		return ", the clock was set: deletions by age wait"
	case mail.NoteChanging:
		return ", sealed messages came with other content"
	}
	return ""
}

func listedSize(n int64) string {
	if n < 0 {
		return "unknown"
	}
	return octets(n)
}

func sealedAs(r mail.DrainRow) string {
	if r.ID == nil {
		return "-"
	}
	return r.ID.String()
}

// fate tells what became of the message. Reports of earlier versions have no
// word for it.
func fate(r mail.DrainRow) string {
	text := string(r.Fate)
	if text == "" {
		text = map[bool]string{true: "deleted", false: "left"}[r.Deleted]
	}
	if r.Why != "" {
		text += ": " + r.Why
	}
	return text
}

// uniqueID prints a UIDL, whose octets may be any, as they are or quoted.
func uniqueID(u mail.Octets) string {
	if u == "" {
		return "-"
	}
	if q := strconv.Quote(string(u)); q[1:len(q)-1] != string(u) {
		return q
	}
	return printable(string(u))
}
