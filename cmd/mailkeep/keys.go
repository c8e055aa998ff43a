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
		Short: "make, rotate, move, give into escrow or restore the keys of an encrypted archive",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.keysGenerate(), p.keysRotate(), p.keysMove(), p.keysEscrow(), p.keysRestore())
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

func (p *program) keysRotate() *cobra.Command {
	return &cobra.Command{
		Use:   "rotate",
		Short: "seal the archive's keys under new key encryption keys, and destroy the old",
		Long: `Rotate makes new key encryption keys in the key source, seals the archive's key
files under them and destroys the older ones. Segments are not touched, and mailkeep
may run meanwhile. When it is interrupted, the next call goes on. Backups of the
archive from before cannot be read any more: make a new one at once.`,
		Example: `  mailkeep keys rotate --config /etc/mailkeep/mailkeep.yaml`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.load(cmd, false)
			if err != nil {
				return err
			}
			done, err := p.app.RotateKeys(cmd.Context(), c)
			for _, r := range done {
				fmt.Fprintf(p.stdout, "class and year %s: %s under version %d of the key; older versions are destroyed\n",
					r.Epoch.Group, count(r.Rewritten+r.Kept, "key file"), r.Epoch.Version)
			}
			return err
		},
	}
}

func (p *program) keysEscrow() *cobra.Command {
	return &cobra.Command{
		Use:   "escrow",
		Short: "give copies of all keys to encryption.escrow_recipients",
		Long: `Escrow writes a copy of the keys of each segment, encrypted to the public keys in
encryption.escrow_recipients, beside its key file. Copies that are there are
replaced: call it when the recipients have changed. New segments get theirs without
it. What is in escrow cannot be erased.`,
		Example: `  mailkeep keys escrow --config /etc/mailkeep/mailkeep.yaml`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.load(cmd, false)
			if err != nil {
				return err
			}
			n, err := p.app.EscrowKeys(cmd.Context(), c)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(p.stdout, "the keys of %s are in escrow\n", count(n, "segment"))
			return err
		},
	}
}
