package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/mailkeep/mailkeep/internal/app"
	"github.com/mailkeep/mailkeep/mail"
)

// repair returns the command that mends damaged segments.
func (p *program) repair() *cobra.Command {
	var o app.RepairOptions
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "repair --from directory",
		Short: "put damaged segments together again from a backup or a copy",
		Long: `Repair looks for segments of the ledger that are damaged or missing, and puts them
together again from a backup in a directory or in a store (s3://BUCKET/PREFIX), or from
a copy of the archive, and from what is still good here. A segment is taken only if every record continues the chain of the one
before, and if the record behind it, the seal of the damaged file or a signed
checkpoint shows that this is what was written. Everything else is refused.

The damaged file stays, as *.damaged, and an event in the ledger tells of the repair.
No other process may run on the archive. If something stays damaged, the exit status
is 4.`,
		Example: `  mailkeep repair --from /mnt/backup/mailkeep --dry-run
  mailkeep repair --from /mnt/backup/mailkeep`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.runRepair(cmd, o, asJSON) },
	}
	f := cmd.Flags()
	f.StringVar(&o.From, "from", "", "`directory` of the backup or copy")
	f.BoolVar(&o.DryRun, "dry-run", false, "tell what would be done, and do nothing")
	f.BoolVar(&asJSON, "json", false, "print the report as JSON")
	return cmd
}

func (p *program) runRepair(cmd *cobra.Command, o app.RepairOptions, asJSON bool) error {
	if o.From == "" {
		return usagef(cmd.CommandPath(), "--from is missing: it names a backup or a copy of the archive")
	}
	c, err := p.load(cmd, false)
	if err != nil {
		return err
	}
	progress := p.startProgress()
	r, err := p.app.Repair(cmd.Context(), c, o, progress.console())
	progress.stop()
	if err != nil {
		return err
	}
	if asJSON {
		err = printJSON(p.stdout, r)
	} else {
		err = renderRepair(p.stdout, r)
	}
	if n := r.Refused(); n > 0 && err == nil {
		return mail.Errorf(mail.Corrupt, "%s cannot be repaired from this copy", count(n, "segment"))
	}
	return err
}

func renderRepair(w io.Writer, r app.RepairReport) error {
	for _, s := range r.Segments {
		switch {
		case s.Refused != "":
			printLine(w, "REFUSED "+s.File+": "+s.Refused)
			continue
		case r.DryRun:
			printLine(w, "can be repaired: "+s.File)
		default:
			printLine(w, "repaired "+s.File)
		}
		printLine(w, fmt.Sprintf("    %s of %s from the copy; shown by %s", octets(s.Taken), octets(s.Octets), s.By))
		if s.Aside != "" {
			printLine(w, "    the damaged file is "+s.Aside)
		}
	}
	verdict := "no damage found in the sealed segments"
	if n := len(r.Segments); n > 0 {
		verdict = fmt.Sprintf("%d of %s", n-r.Refused(), count(n, "damaged segment"))
	}
	_, err := fmt.Fprintln(w, verdict)
	return err
}
