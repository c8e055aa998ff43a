package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mailkeep/mailkeep/sink/keys"
)

// keys returns the commands about the keys of an encrypted archive.
func (p *program) keys() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "make the keys of an encrypted archive",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.keysGenerate())
	return cmd
}

func (p *program) keysGenerate() *cobra.Command {
	return &cobra.Command{
		Use:   "generate FILE",
		Short: "make a file of key encryption keys, for encryption.key_file",
		Long: `Generate makes a file of fresh key encryption keys, which only its owner may read,
and never replaces one. Name it in encryption.key_file, keep it apart from the
archive, and keep copies of it: without it an archive that was encrypted with it
cannot be read by anybody.`,
		Example: `  mailkeep keys generate /etc/mailkeep/keks`,
		Args:    exactArgs(1, "the name of the file to make"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := keys.GenerateKEKFile(args[0]); err != nil {
				return err
			}
			_, err := fmt.Fprintf(p.stdout, "%s holds new keys: keep copies of it, apart from the archive\n", printable(args[0]))
			return err
		},
	}
}
