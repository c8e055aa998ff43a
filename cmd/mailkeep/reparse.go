package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/mailkeep/mailkeep/internal/app"
	"github.com/mailkeep/mailkeep/mail"
)

// reparse returns the command that reads some mail again.
func (p *program) reparse() *cobra.Command {
	var o mail.ReparseOrder
	var older string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "reparse",
		Short: "read some mail again, for the search index",
		Long: `Reparse reads messages of the archive again and puts what is made of them into the
search index: after an update of the program, after an extractor was installed, or
after the mode or the envelope rules of a mailbox were changed. The ledger is not
changed. All conditions that are given must apply; at least one is needed.

It works while mailkeep runs, and without. When it is interrupted, order it again:
what was done is not lost, and doing it twice changes nothing. To make the whole
index anew, use reindex.`,
		Example: `  mailkeep reparse --older-than current --dry-run
  mailkeep reparse --mailbox journal
  mailkeep reparse --with-defect EXT_TIMEOUT --query 'filetype:pdf'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if o.OlderThan, err = parserVersion(cmd, older); err != nil {
				return err
			}
			if o == (mail.ReparseOrder{DryRun: o.DryRun}) {
				return usagef(cmd.CommandPath(), "give a condition: --older-than, --with-defect, --mailbox or --query")
			}
			return p.runReparse(cmd, o, asJSON)
		},
	}
	f := cmd.Flags()
	f.StringVar(&older, "older-than", "", "what a parser before this `version` read; current is that of this program")
	f.StringVar(&o.Defect, "with-defect", "", "what has the defect of this `code`, such as EXT_TIMEOUT")
	f.StringVar(&o.Mailbox, "mailbox", "", "what came from the mailbox of this `name`")
	f.StringVar(&o.Query, "query", "", "what this `query` finds")
	f.BoolVar(&o.DryRun, "dry-run", false, "only count the messages")
	f.BoolVar(&asJSON, "json", false, "print the counts as JSON")
	return cmd
}

// parserVersion reads --older-than; 0 if it is not given.
func parserVersion(cmd *cobra.Command, text string) (int, error) {
	switch text {
	case "":
		return 0, nil
	case "current":
		return app.ParserVersion(), nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, usagef(cmd.CommandPath(), "--older-than takes a version, such as %d, or current, not %q", app.ParserVersion(), text)
	}
	return n, nil
}

func (p *program) runReparse(cmd *cobra.Command, o mail.ReparseOrder, asJSON bool) error {
	c, err := p.load(cmd, false)
	if err != nil {
		return err
	}
	progress := p.startProgress()
	done, err := p.app.Reparse(cmd.Context(), c, o, progress.console())
	progress.stop()
	switch {
	case err != nil:
		return err
	case asJSON:
		return printJSON(p.stdout, done)
	case o.DryRun:
		_, err = fmt.Fprintf(p.stdout, "%s would be read again\n", count(done.Found, "message"))
	default:
		_, err = fmt.Fprintf(p.stdout, "%s read again\n", count(done.Done, "message"))
	}
	return err
}
