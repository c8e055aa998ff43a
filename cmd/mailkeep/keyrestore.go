package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/internal/app"
)

func (p *program) keysRestore() *cobra.Command {
	var o app.KeyRestoreOptions
	cmd := &cobra.Command{
		Use:   "restore --identity file",
		Short: "make lost key files from their copies in escrow",
		Long: `Restore makes the key files that are missing from their copies in escrow, and seals
them under the configured key source. It takes the copies that lie beside the key
files; those kept elsewhere --escrow names: a file, or a directory, under the names
that they had in the archive. Key files that are there and good are kept.

If the key source itself is lost, make a new one, configure it, and add
--replace-source: key files that it does not open are replaced by their copies, and
the archive takes it for its own once it opens all of them. Stop mailkeep before.

The identity is the secret key of a recipient: lines of age that begin with
AGE-SECRET-KEY-1, or an SSH key without a passphrase.`,
		Example: `  mailkeep keys restore --identity officer.txt
  mailkeep keys restore --identity officer.txt --escrow /mnt/escrow --replace-source`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Identity == "" {
				return usagef(cmd.CommandPath(), "--identity is missing: it names the file with the secret key of a recipient")
			}
			c, err := p.load(cmd, false)
			if err != nil {
				return err
			}
			done, err := p.app.RestoreKeys(cmd.Context(), c, o)
			if done.Restored+done.Kept > 0 || err == nil {
				fmt.Fprintf(p.stdout, "%s restored from escrow, %s kept\n", count(done.Restored, "key file"), count(done.Kept, "key file"))
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(p.stdout, "run mailkeep verify --level all to see that every record opens")
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Escrow, "escrow", "", "`file` or directory with copies that were kept elsewhere")
	f.StringVar(&o.Identity, "identity", "", "`file` with the secret key of a recipient")
	f.BoolVar(&o.ReplaceSource, "replace-source", false, "let the configured key source take the place of one that is lost")
	return cmd
}

func (p *program) keysMove() *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use:   "move --to file",
		Short: "move the keys of the archive to another key source",
		Long: `Move seals all key files of the archive under keys of another source: the one that the
section encryption of the configuration in --to names. Segments are not touched. Stop
mailkeep before. When it is interrupted, call it again; until it is done neither
source opens the whole archive. Afterwards start mailkeep with the new section.

What the old source holds stays there: earlier backups need it.`,
		Example: `  mailkeep keys move --config old.yaml --to new.yaml`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to == "" {
				return usagef(cmd.CommandPath(), "--to is missing: it names a configuration with the new key source")
			}
			c, err := p.load(cmd, false)
			if err != nil {
				return err
			}
			next, err := configs.Load(configs.Sources{File: to, Env: p.env, SkipSecrets: true})
			if err != nil {
				return err
			}
			done, err := p.app.MoveKeys(cmd.Context(), c, next)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(p.stdout, "%s moved, %s had moved before: start mailkeep with the new section encryption\n",
				count(done.Rewritten, "key file"), count(done.Kept, "key file"))
			return err
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "configuration `file` that names the new key source")
	return cmd
}
