package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/mailkeep/mailkeep/mail"
)

// mailbox returns the commands about single mailboxes.
func (p *program) mailbox() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mailbox",
		Short: "list, test, look back on and reset mailboxes",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.mailboxList(), p.mailboxTest(), p.mailboxHistory(), p.mailboxReset())
	return cmd
}

// oneMailbox completes the first argument with the name of a mailbox.
func (p *program) oneMailbox(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return p.completeMailboxes(cmd, args, word)
}

// mailboxesError is what the exit status of a command comes from that did
// something with each mailbox: kinds holds the mail.Kind of each failure, "" for
// a mailbox that did not fail. It is partial if some failed; in use if all did
// because they are.
func mailboxesError(kinds []string, what string) error {
	failed := slices.DeleteFunc(slices.Clone(kinds), func(k string) bool { return k == "" })
	switch n := len(failed); {
	case n == 0:
		return nil
	case n < len(kinds):
		return fmt.Errorf("%d of %d mailboxes: %w", n, len(kinds), errPartial)
	case !slices.ContainsFunc(failed, func(k string) bool { return k != mail.InUse.String() }):
		return mail.Errorf(mail.InUse, "%s in use", boxes(n))
	case n == 1:
		return mail.Errorf(mail.Other, "the mailbox cannot be %s", what)
	default:
		return mail.Errorf(mail.Other, "none of %d mailboxes can be %s", n, what)
	}
}
