package main

import (
	"github.com/spf13/cobra"
)

// mailbox returns the commands about single mailboxes.
func (p *program) mailbox() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mailbox",
		Short: "list, test and look back on mailboxes",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.mailboxList(), p.mailboxTest(), p.mailboxHistory())
	return cmd
}

// oneMailbox completes the first argument with the name of a mailbox.
func (p *program) oneMailbox(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return p.completeMailboxes(cmd, args, word)
}
