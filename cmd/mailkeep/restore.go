package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/mailkeep/mailkeep/internal/app"
)

// restore returns the command that makes an archive from a backup.
func (p *program) restore() *cobra.Command {
	var o app.RestoreOptions
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "restore directory|s3://bucket/prefix --to archive",
		Short: "make an archive anew from a backup",
		Long: `Restore makes an archive from the backup in DIRECTORY, or in a store, in a directory that is empty or
missing. It verifies every octet, builds catalog and index, and leaves an event in
the ledger that tells of it. Nothing counts as an archive there before all of it
was found good.

Stop every mailkeep process of the old archive first, pollers too: one that still
holds receipts of the old archive could delete mail that the backup lacks.

What was sealed after the backup is not in it, and may be gone from the servers.
Mail that is still there is fetched again. --checkpoint names a signed checkpoint
that was kept elsewhere: restore tells how many records it proves and the backup
lacks, and refuses a backup that contradicts it.`,
		Example: `  mailkeep restore /mnt/backup/mailkeep --to /var/lib/mailkeep
  mailkeep restore /mnt/backup/mailkeep --to /var/lib/mailkeep --checkpoint last-checkpoint`,
		Args: exactArgs(1, "one directory, or one place in a store"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.From = args[0]
			return p.runRestore(cmd, o, asJSON)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.To, "to", "", "`directory` of the archive that is made")
	f.IntVar(&o.Number, "number", 0, "`number` of the backup to restore; 0 is the newest")
	f.StringArrayVar(&o.Checkpoints, "checkpoint", nil, "`file` with a signed checkpoint that was kept elsewhere; may be repeated")
	f.BoolVar(&asJSON, "json", false, "print the report as JSON")
	return cmd
}

func (p *program) runRestore(cmd *cobra.Command, o app.RestoreOptions, asJSON bool) error {
	if o.To == "" {
		return usagef(cmd.CommandPath(), "--to is missing: it names the directory of the archive that is made")
	}
	c, err := p.load(cmd, false)
	if err != nil {
		return err
	}
	progress := p.startProgress()
	r, err := p.app.Restore(cmd.Context(), c, o, progress.console())
	progress.stop()
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(p.stdout, r)
	}
	return renderRestore(p.stdout, r)
}

// renderRestore prints what is there, then what is not.
func renderRestore(w io.Writer, r app.RestoreReport) error {
	fmt.Fprintf(w, "archive %s from backup %d of %s: %s, %s\n", r.Archive, r.Backup, r.Made.Format(time.RFC3339), count(r.Files, "file"), octets(r.Octets))
	for _, part := range r.Partitions {
		renderRestored(w, part)
	}
	for _, n := range r.Notes {
		printLine(w, "note: "+n)
	}
	_, err := fmt.Fprintln(w, "restored and verified; mailkeep run goes on with it")
	return err
}

func renderRestored(w io.Writer, part app.RestoredPartition) {
	fmt.Fprintf(w, "partition %d: records 0 to %d", part.Partition, max(part.Records, 1)-1)
	if !part.Last.IsZero() {
		fmt.Fprintf(w, ", the last of %s", part.Last.Format(time.RFC3339))
	}
	fmt.Fprintln(w)
	switch {
	case part.Missing > 0:
		fmt.Fprintf(w, "    MISSING: records %d to %d, which a checkpoint proves; mail among them that was deleted on its server is lost\n", part.Records, part.Known-1)
	case part.Known > 0:
		fmt.Fprintf(w, "    nothing is missing that a checkpoint proves: it has %s\n", count(part.Known, "record"))
	default:
		fmt.Fprintln(w, "    what was sealed later is missing; without --checkpoint nobody knows how much")
	}
}
