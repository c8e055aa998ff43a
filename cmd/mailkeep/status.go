package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/internal/app"
)

// status returns the command that tells the state of mailboxes and archive.
func (p *program) status() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "tell the state of mailboxes, archive and index",
		Long: `Status tells for each mailbox what the archive holds, how its last session ended
and when it is polled next; and for each partition how far catalog and index have
followed the ledger. A mailbox that needs somebody is named below the table, with
what to do: one that was not drained for long, that a breaker stops, whose mail
stays on the server or went before it was sealed.`,
		Example: `  mailkeep status
  mailkeep status --json | jq '.mailboxes[] | select(.problem)'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withClient(cmd, func(ctx context.Context, _ *configs.Config, cl client) error {
				report, err := cl.Status(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(p.stdout, report)
				}
				return renderStatus(p.stdout, report)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return cmd
}

// renderStatus prints a table of mailboxes and one of partitions.
func renderStatus(out io.Writer, r app.StatusReport) error {
	w := bufio.NewWriter(out)
	if err := renderMailboxes(w, r); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if err := renderPartitions(w, r.Time, r.Partitions); err != nil {
		return err
	}
	if r.Store != nil {
		renderStore(w, r.Time, r.Store)
	}
	if x := r.Extraction; x != nil {
		renderExtraction(w, x)
	}
	if q := r.Queue; q != nil {
		fmt.Fprintf(w, "\nqueue: %s, %s\n", count(q.Messages, "message"), octets(int64(q.Octets)))
	}
	return w.Flush()
}

func renderMailboxes(w io.Writer, r app.StatusReport) error {
	if len(r.Mailboxes) == 0 {
		fmt.Fprintln(w, "no mailboxes")
		return nil
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "MAILBOX\tARCHIVED\tSIZE\tLAST SESSION\tOUTCOME\tLISTED\tSEALED\tDELETED\tHELD\tNEXT")
	for _, m := range r.Mailboxes {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%s\n", printable(m.Name), grouped(m.Messages), octets(int64(m.Octets)),
			ago(r.Time, m.LastSession), printable(outcome(m)), m.Listed, m.Sealed, m.Deleted, m.Held, next(r.Time, m))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, m := range r.Mailboxes {
		renderProblem(w, r.Time, m)
	}
	return nil
}

// renderProblem prints what is wrong with a mailbox, and what to do. An error
// that is no problem yet may pass by itself.
func renderProblem(w io.Writer, now time.Time, m app.MailboxStatus) {
	switch {
	case m.Problem != "":
		printLine(w, "PROBLEM with "+m.Name+": "+m.Problem+"; last success "+ago(now, m.LastSuccess))
		if m.Hint != "" {
			printLine(w, "    hint: "+m.Hint)
		}
	case m.Error != "":
		printLine(w, m.Name+": "+m.Error+"; last success "+ago(now, m.LastSuccess))
	}
}

// outcome tells how the last session ended, and since how many it goes wrong.
func outcome(m app.MailboxStatus) string {
	switch {
	case m.Outcome == "":
		return "-"
	case m.Failures > 1:
		return fmt.Sprintf("%s (%d times)", m.Outcome, m.Failures)
	}
	return m.Outcome
}

func next(now time.Time, m app.MailboxStatus) string {
	switch {
	case !m.Configured:
		return "not configured"
	case m.Running:
		return "in session"
	case m.CredentialsOpen && !m.CredentialsUntil.After(now):
		return "when its secret changes"
	case m.HostPaused.After(now):
		return "host paused for " + span(m.HostPaused.Sub(now))
	case m.NextDue.IsZero():
		return "-"
	case !m.NextDue.After(now):
		return "now"
	}
	return "in " + span(m.NextDue.Sub(now)) + because(m.Waits)
}

// because tells why a mailbox waits, where it is not its schedule.
func because(waits string) string {
	if waits == "" || waits == "schedule" {
		return ""
	}
	return " (" + printable(waits) + ")"
}

func ago(now, t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return span(now.Sub(t)) + " ago"
}

// span prints a length of time in its largest two units.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(0, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

func renderPartitions(w io.Writer, now time.Time, partitions []app.PartitionStatus) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "PARTITION\tRECORDS\tSEGMENTS\tON DISK\tCATALOG\tINDEX")
	for _, s := range partitions {
		fmt.Fprintf(tw, "%d\t%s\t%d\t%s\t%s\t%s\n", s.Partition, grouped(s.Records), s.Segments, octets(s.Octets),
			follows(s.Catalog, s.Records), follows(s.Index, s.Records))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, s := range partitions {
		if s.Log != nil {
			renderLog(w, now, s.Partition, s.Log)
		}
		if t := s.Stored; t != nil {
			line := fmt.Sprintf("partition %d: %s in the store, %d of them there alone; %d waiting with %s; last upload %s", s.Partition,
				count(uint64(t.Stored), "segment"), t.Away, t.Waiting, octets(t.Octets), ago(now, t.Last))
			if t.Held > 0 {
				line += fmt.Sprintf("; %d under legal hold", t.Held)
			}
			printLine(w, line)
		}
		if m := s.Immutable; m != nil {
			line := fmt.Sprintf("partition %d: %s immutable on this disk", s.Partition, count(uint64(m.Segments), "segment"))
			if m.Problem != "" {
				line += "; others are NOT: " + m.Problem
			}
			printLine(w, line)
		}
		if s.Problem != "" {
			printLine(w, fmt.Sprintf("partition %d: %s", s.Partition, s.Problem))
		}
	}
	return nil
}

// renderExtraction prints what reads documents, once that has begun, and what
// does not guard it.
func renderExtraction(w io.Writer, x *app.ExtractionStatus) {
	if x.Started > 0 {
		fmt.Fprintf(w, "documents: %d being read, %d waiting; %s started, %d lost\n", x.Running, x.Waiting, count(uint64(x.Started), "worker"), x.Lost)
	}
	for _, name := range slices.Sorted(maps.Keys(x.Missing)) {
		printLine(w, "documents are read without the guard "+name+": "+x.Missing[name])
	}
}

// renderStore prints where segments are stored, and whether they are safe there.
func renderStore(w io.Writer, now time.Time, s *app.StoreStatus) {
	if s.WORM {
		printLine(w, fmt.Sprintf("store: %s, write-once as probed %s", s.Place, ago(now, s.Probed)))
		return
	}
	printLine(w, fmt.Sprintf("store: %s, NOT write-once: %s", s.Place, s.Problem))
}

// renderLog prints what is signed of a ledger, and who vouches for that.
func renderLog(w io.Writer, now time.Time, partition uint16, l *app.LogStatus) {
	line := fmt.Sprintf("partition %d: signed up to record %s, %s", partition, grouped(l.Size), ago(now, l.Signed))
	if !l.AnchoredAt.IsZero() {
		line += fmt.Sprintf("; anchored up to %s, %s, by %s", grouped(l.Anchored), ago(now, l.AnchoredAt), strings.Join(l.AnchoredBy, ", "))
	}
	printLine(w, line)
	if l.Problem != "" {
		printLine(w, fmt.Sprintf("PROBLEM with the log of partition %d: %s", partition, l.Problem))
	}
}

// follows tells how far a view is behind its ledger.
func follows(position, size uint64) string {
	if position >= size {
		return "complete"
	}
	return grouped(size-position) + " behind"
}
