package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/internal/app"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/backup"
)

// backup returns the command that copies the archive.
func (p *program) backup() *cobra.Command {
	var check, asJSON bool
	keep := 30
	cmd := &cobra.Command{
		Use:   "backup directory|s3://bucket/prefix",
		Short: "copy what is new of the archive to a directory or a store, or check such a copy",
		Long: `Backup copies the archive to DIRECTORY, or to a prefix of a bucket in the store that the
section backup.s3 names, also while mailkeep runs. It copies what is new
since the last backup there: sealed segments once, of the open segment what is
durable, and checkpoints, anchors, dictionaries and keys. Each segment is compared
with its seal, and what was written is read back. A backup counts only when its
manifest is written, last.

An archive that does not continue the last backup, because it was rolled back or
altered, is refused, and the exit status is 4.

The backup holds the private keys that lie in the archive's directory: protect it
like the archive. Keys kept elsewhere are not in it.

With --check, it reads the whole backup and compares it with its hashes.`,
		Example: `  mailkeep backup /mnt/backup/mailkeep
  mailkeep backup --check /mnt/backup/mailkeep
  mailkeep backup s3://second-copy/mailkeep`,
		Args: exactArgs(1, "one directory, or one place in a store"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if check {
				return p.runCheckBackup(cmd, args[0], asJSON)
			}
			return p.runBackup(cmd, args[0], keep, asJSON)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&check, "check", false, "check the backup in place of making one")
	f.IntVar(&keep, "keep", keep, "`number` of backups to keep there; 0 keeps all")
	f.BoolVar(&asJSON, "json", false, "print the report as JSON")
	cmd.MarkFlagsMutuallyExclusive("check", "keep")
	return cmd
}

func (p *program) runBackup(cmd *cobra.Command, dir string, keep int, asJSON bool) error {
	if keep < 0 {
		return usagef(cmd.CommandPath(), "--keep must not be negative")
	}
	c, err := p.load(cmd, false)
	if err != nil {
		return err
	}
	progress := p.startProgress()
	r, err := p.app.Backup(cmd.Context(), c, dir, keep, progress.console())
	progress.stop()
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(p.stdout, r)
	}
	return renderBackup(p.stdout, r)
}

func renderBackup(w io.Writer, r backup.Report) error {
	for _, l := range r.Ledgers {
		fmt.Fprintf(w, "partition %d: %s\n", l.Partition, count(l.Records, "record"))
	}
	_, err := fmt.Fprintf(w, "backup %d: %s, %s; copied %s, %s\n    %s\n", r.Number, count(r.Files, "file"), octets(r.Octets),
		count(r.Copied, "new object"), octets(r.Written), r.Name)
	return err
}

func (p *program) runCheckBackup(cmd *cobra.Command, dir string, asJSON bool) (err error) {
	var c *configs.Config
	if app.InStore(dir) { // a directory is checked anywhere, without a configuration
		if c, err = p.load(cmd, false); err != nil {
			return err
		}
	}
	progress := p.startProgress()
	r, err := p.app.CheckBackup(cmd.Context(), c, dir, progress.console())
	progress.stop()
	if err != nil {
		return err
	}
	if asJSON {
		err = printJSON(p.stdout, r)
	} else {
		err = renderCheck(p.stdout, r)
	}
	if err != nil || len(r.Findings) == 0 {
		return err
	}
	return mail.Errorf(mail.Corrupt, "the backup is damaged: %s", count(len(r.Findings), "finding"))
}

func renderCheck(w io.Writer, r backup.CheckReport) error {
	fmt.Fprintf(w, "archive %s: %s, %s, %s\n", r.Archive, count(r.Manifests, "backup"), count(r.Objects, "object"), octets(r.Octets))
	for _, f := range r.Findings {
		printLine(w, fmt.Sprintf("FOUND in %s: %s", f.Object, f.Problem))
		if len(f.Files) > 0 {
			printLine(w, "    needed for "+strings.Join(f.Files, ", "))
		}
	}
	verdict := "no damage found"
	if n := len(r.Findings); n > 0 {
		verdict = "DAMAGED: " + count(n, "finding")
	}
	_, err := fmt.Fprintln(w, verdict)
	return err
}
