package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/mailkeep/mailkeep/internal/app"
	"github.com/mailkeep/mailkeep/mail"
)

// verify returns the command that checks the archive.
func (p *program) verify() *cobra.Command {
	var o app.VerifyOptions
	var asJSON, index bool
	level := string(app.LevelAll)
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "check every byte of the archive",
		Long: `Verify reads the archive and checks every record against the hashes of the ledger,
and everything else against the ledger. It changes nothing, and works while mailkeep
runs. What it finds is printed with its place and what to do, and the exit status
is 4.

--level says what is checked:

  structure  all segments are there, whole at their ends, and follow each other
  chain      every header: checksums, order, chain, Merkle root
  bodies     every octet: the hash of each body
  content    every message, decoded, against its commitment
  evidence   the ledger against every checkpoint that was ever signed, and anchors
  views      catalog and index against the ledger
  gaps       what the sessions reported as sealed against what is stored
  all        content, evidence, views and gaps
  index      every message, read anew, looked for by its own rare words

Each of the first four finds what those before it find. --checkpoint names a copy of
tlog/0000/checkpoint that was kept elsewhere, from this archive: it finds an archive
that was rolled back, or written anew, as a whole.`,
		Example: `  mailkeep verify
  mailkeep verify --level bodies
  mailkeep verify --checkpoint /mnt/elsewhere/checkpoint --json > report.json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Level = app.Level(level); index {
				if cmd.Flags().Changed("level") && o.Level != app.LevelIndex {
					return usagef(cmd.CommandPath(), "--index and --level %s exclude each other", level)
				}
				o.Level = app.LevelIndex
			}
			return p.runVerify(cmd, o, asJSON)
		},
	}
	f := cmd.Flags()
	f.StringVar(&level, "level", level, "`level` of the verification")
	f.BoolVar(&index, "index", false, "the same as --level index")
	f.StringArrayVar(&o.Checkpoints, "checkpoint", nil, "`file` with a signed checkpoint that was kept elsewhere; may be repeated")
	f.BoolVar(&asJSON, "json", false, "print the report as JSON")
	return cmd
}

func (p *program) runVerify(cmd *cobra.Command, o app.VerifyOptions, asJSON bool) error {
	c, err := p.load(cmd, false)
	if err != nil {
		return err
	}
	progress := p.startProgress()
	report, err := p.app.Verify(cmd.Context(), c, o, progress.console())
	progress.stop()
	if err != nil {
		return err
	}
	if asJSON {
		err = printJSON(p.stdout, report)
	} else {
		err = renderVerify(p.stdout, report)
	}
	if err != nil || len(report.Findings) == 0 {
		return err
	}
	return mail.Errorf(mail.Corrupt, "the archive is damaged: %s", count(len(report.Findings), "finding"))
}

// renderVerify prints what was checked, then the findings, then the verdict.
func renderVerify(w io.Writer, r app.VerifyReport) error {
	for _, v := range r.Partitions {
		fmt.Fprintf(w, "partition %d: %s in %s, %s, %s\n", v.Partition, count(v.Records, "record"),
			count(v.Segments, "segment"), count(v.Messages, "message"), octets(v.Octets))
		if v.Head != "" {
			printLine(w, "    head "+v.Head)
		}
	}
	for _, f := range r.Findings {
		renderFinding(w, f)
	}
	for _, n := range r.Notes {
		printLine(w, fmt.Sprintf("note: partition %d, %s: %s", n.Partition, n.Where, n.Problem))
	}
	verdict := "no damage found"
	if n := len(r.Findings); n > 0 {
		verdict = "DAMAGED: " + count(n, "finding")
	}
	_, err := fmt.Fprintf(w, "%s, in %s\n", verdict, took(r.Ended.Sub(r.Started)))
	return err
}

func renderFinding(w io.Writer, f app.Finding) {
	line := fmt.Sprintf("FOUND in partition %d, %s", f.Partition, f.Where)
	if f.ID != nil {
		line += ", record " + f.ID.String()
	}
	printLine(w, line+": "+f.Problem)
	if f.Hint != "" {
		printLine(w, "    hint: "+f.Hint)
	}
}

// took rounds a duration to what a person reads.
func took(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
