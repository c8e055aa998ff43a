package main

import (
	"github.com/spf13/cobra"
)

// newKey returns the command that changes the key that signs checkpoints.
func (p *program) newKey() *cobra.Command {
	return &cobra.Command{
		Use:   "newkey",
		Short: "change the key that signs checkpoints",
		Long: `Newkey makes a new key that signs the checkpoints of the archive. The old key signs
that the new one follows it, so that whoever holds a public key of the archive can
go on from it; what the old key signs from then on is taken by nobody. The new
public keys, one for each partition, are printed: give them to those who had the old
ones. No other process may run on the archive.`,
		Example: `  mailkeep newkey`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.load(cmd, false)
			if err != nil {
				return err
			}
			keys, err := p.app.NewKey(cmd.Context(), c)
			if err != nil {
				return err
			}
			for _, k := range keys {
				printLine(p.stdout, k)
			}
			return nil
		},
	}
}
