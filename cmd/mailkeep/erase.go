package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mailkeep/mailkeep/internal/app"
	"github.com/mailkeep/mailkeep/mail"
)

// erase returns the command that erases mail for good.
func (p *program) erase() *cobra.Command {
	var o mail.EraseOrder
	var yes, asJSON bool
	cmd := &cobra.Command{
		Use:   "erase id...",
		Short: "erase mail for good by destroying its keys",
		Long: `Erase destroys the keys of messages in an encrypted archive: nobody can read them any
more, from the archive, from a store of its segments, or from an earlier backup.
Their places in the ledger stay and can be proven, and an event tells of the order,
its reason and who gave it. A message goes with all deliveries of the same bytes to
other mailboxes; a delivery whose bytes came with another message goes alone.

It is refused for what is under legal hold. What is within its retention is erased
with --despite-retention only. There is no approval by a second person: who may run
this command on the archive may erase.

An archive that is not encrypted, a key source that cannot destroy (key_env), and
keys in escrow cannot be erased from; the error says which.

A message that is still on its server is fetched again: delete it there before.
Backups from before cannot be read any more, because their keys are destroyed too:
make a new one at once. Replace the copies of encryption.key_file as well: an old copy
together with an old backup still opens what is erased. Without --yes it only tells
what would be erased.`,
		Example: `  mailkeep erase 0-1234 --reason "request of 2 March, GDPR article 17"
  mailkeep erase 0-1234 --reason "request of 2 March, GDPR article 17" --yes`,
		Args: someArgs("one message id or more"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := p.needReason(cmd, o.Reason); err != nil {
				return err
			}
			var err error
			if o.Records, err = readIDs(cmd.InOrStdin(), args, ""); err != nil {
				return err
			}
			o.By, o.DryRun = operator(), !yes
			return p.runErase(cmd, o, asJSON)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Reason, "reason", "", "why: the request, the law; name no person, it stays for good")
	f.BoolVar(&yes, "yes", false, "erase; without it, only tell what would be erased")
	f.BoolVar(&o.DespiteRetention, "despite-retention", false, "erase what its retention keeps still")
	f.BoolVar(&asJSON, "json", false, "print the report as JSON")
	return cmd
}

func (p *program) runErase(cmd *cobra.Command, o mail.EraseOrder, asJSON bool) error {
	c, err := p.load(cmd, false)
	if err != nil {
		return err
	}
	done, err := p.app.Erase(cmd.Context(), c, o, app.Console{Logs: p.stderr})
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(p.stdout, done)
	}
	ids := make([]string, len(done.Records))
	for i, id := range done.Records {
		ids[i] = id.String()
	}
	if done.DryRun {
		_, err = fmt.Fprintf(p.stdout, "%s would be erased: %s\nnothing was erased: add --yes to erase\n", count(len(ids), "record"), strings.Join(ids, ", "))
		return err
	}
	fmt.Fprintf(p.stdout, "%s erased, %s destroyed: %s\n", count(len(ids), "record"), count(done.Keys, "key"), strings.Join(ids, ", "))
	if done.Unindexed {
		fmt.Fprintln(p.stdout, "the index has not followed yet: until it has, a search may name them")
	}
	_, err = fmt.Fprintln(p.stdout, "backups from before cannot be read any more: make a new one")
	return err
}
