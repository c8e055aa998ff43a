package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/mailkeep/mailkeep/internal/app"
)

// mailboxReset returns the command that closes breakers.
func (p *program) mailboxReset() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "reset mailbox...",
		Short: "close the breakers of mailboxes and try at once what waits",
		Long: `Reset makes the next session of each named mailbox begin as if nothing had gone
wrong. The password is tried again although it was refused three times; sealed
messages are deleted again although the server and the archive disagreed about too
many; messages that the server refused to send, or sent short, are fetched again
without waiting. Find out first what was wrong: see mailkeep status.

Nothing that is reset ever allowed a deletion: each still needs its seal. What the
server demands, time between logins and the daily limit, still counts.

While mailkeep runs, it polls the mailbox at once. A mailbox that is in a session
is in use: status 5.`,
		Example:           `  mailkeep mailbox reset office`,
		Args:              someArgs("the names of the mailboxes to reset"),
		ValidArgsFunction: p.completeMailboxes,
		RunE:              func(cmd *cobra.Command, args []string) error { return p.runMailboxReset(cmd, args, asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	return cmd
}

func (p *program) runMailboxReset(cmd *cobra.Command, names []string, asJSON bool) error {
	c, err := p.load(cmd, false)
	if err != nil {
		return err
	}
	reports, err := p.app.Reset(cmd.Context(), c, names, app.Console{Logs: p.stderr})
	if err != nil {
		return err
	}
	if asJSON {
		err = printJSON(p.stdout, reports)
	} else {
		renderResets(p.stdout, reports)
	}
	if err != nil {
		return err
	}
	kinds := make([]string, len(reports))
	for i, r := range reports {
		kinds[i] = r.Kind
	}
	return mailboxesError(kinds, "reset")
}

func renderResets(w io.Writer, reports []app.ResetReport) {
	for _, r := range reports {
		switch {
		case r.Error != "":
			printLine(w, r.Mailbox+": not reset: "+r.Error+hinted(r.Hint))
		case r.Running:
			printLine(w, r.Mailbox+": reset, and polled now")
		default:
			printLine(w, r.Mailbox+": reset; the next session tries again")
		}
	}
}
