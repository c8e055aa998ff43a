package main

import (
	"cmp"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/mailkeep/mailkeep/internal/app"
	"github.com/mailkeep/mailkeep/mail"
)

// drain returns the command that polls once.
func (p *program) drain() *cobra.Command {
	var asJSON, once bool
	cmd := &cobra.Command{
		Use:   "drain [mailbox...]",
		Short: "poll the mailboxes once, until they are empty",
		Long: `Drain polls the named mailboxes, or all, until each is empty or has failed, and
exits when what was fetched is sealed and searchable. Names are those of the
configuration. To poll on schedule, use run.

The exit status is 3 if some mailboxes failed.`,
		Example: `  mailkeep drain --once
  mailkeep drain office sales
  mailkeep drain --json | jq '.mailboxes[] | select(.error)'`,
		ValidArgsFunction: p.completeMailboxes,
		RunE:              func(cmd *cobra.Command, args []string) error { return p.runDrain(cmd, args, asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	cmd.Flags().BoolVar(&once, "once", true, "poll once and exit; always so, for scripts that like to say it")
	return cmd
}

func (p *program) runDrain(cmd *cobra.Command, names []string, asJSON bool) error {
	if once, err := cmd.Flags().GetBool("once"); err != nil || !once {
		return usagef(cmd.CommandPath(), "drain always polls once; to poll on schedule, use mailkeep run")
	}
	c, err := p.load(cmd, true)
	if err != nil {
		return err
	}
	if len(c.Mailboxes) == 0 {
		return noMailboxes(c.File)
	}
	progress := p.startProgress()
	result, err := p.app.DrainOnce(cmd.Context(), c, names, progress.console())
	progress.stop()
	if err != nil && len(result.Mailboxes) == 0 {
		return err
	}
	// A round that was interrupted has done something too.
	render := renderDrain
	if asJSON {
		render = func(w io.Writer, r app.DrainResult) error { return printJSON(w, r) }
	}
	if failed := render(p.stdout, result); failed != nil || err != nil {
		return cmp.Or(err, failed)
	}
	return drainError(result)
}

// drainError is what the exit status comes from: partial if some mailboxes
// failed, a failure if all did.
func drainError(r app.DrainResult) error {
	failed := r.Failed()
	switch {
	case failed == 0:
		return nil
	case failed < len(r.Mailboxes):
		return fmt.Errorf("%d of %d mailboxes: %w", failed, len(r.Mailboxes), errPartial)
	case failed == 1:
		return mail.Errorf(mail.Other, "the mailbox could not be drained")
	}
	return mail.Errorf(mail.Other, "none of %d mailboxes could be drained", failed)
}

// renderDrain prints a line per mailbox, with the reason under those that
// failed, and a total.
func renderDrain(w io.Writer, r app.DrainResult) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight|tabwriter.TabIndent)
	fmt.Fprintln(tw, "LISTED\tFETCHED\tSEALED\tDELETED\tHELD\tSIZE\tTOOK\t  MAILBOX")
	var sum app.DrainedMailbox
	for _, m := range r.Mailboxes {
		outcome := ""
		if m.Error != "" {
			outcome = " (" + m.Outcome + ": " + m.Error + ")"
		}
		fmt.Fprintf(tw, "%d\t%d\t%d\t%d\t%d\t%s\t%s\t  %s\n", m.Listed, m.Fetched, m.Sealed, m.Deleted, m.Held,
			octets(m.Octets), took(m.Took), printable(m.Name+outcome))
		sum.Fetched += m.Fetched
		sum.Sealed += m.Sealed
		sum.Deleted += m.Deleted
		sum.Held += m.Held
		sum.Octets += m.Octets
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%s: %d fetched (%s), %d sealed, %d deleted, %d held back\n", boxes(len(r.Mailboxes)),
		sum.Fetched, octets(sum.Octets), sum.Sealed, sum.Deleted, sum.Held)
	for _, m := range r.Mailboxes {
		if m.Hint != "" {
			printLine(w, "hint for "+m.Name+": "+m.Hint)
		}
	}
	return err
}

func boxes(n int) string {
	if n == 1 {
		return "1 mailbox"
	}
	return grouped(n) + " mailboxes"
}

// completeMailboxes offers the names of the configured mailboxes to the shell.
func (p *program) completeMailboxes(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	c, err := p.load(cmd, false)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	names := make([]string, len(c.Mailboxes))
	for i, m := range c.Mailboxes {
		names[i] = m.Name
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
