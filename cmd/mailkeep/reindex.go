package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// reindex returns the command that builds the views again.
func (p *program) reindex() *cobra.Command {
	return &cobra.Command{
		Use:   "reindex",
		Short: "build the search index and the catalog again from the ledger",
		Long: `Reindex deletes the search index and the catalog and builds them again from the
ledger, which it does not change. No other process may run on the archive. When it
is interrupted, the next start goes on where it ended.`,
		Example: `  mailkeep reindex --config /etc/mailkeep/mailkeep.yaml`,
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return p.runReindex(cmd) },
	}
}

func (p *program) runReindex(cmd *cobra.Command) error {
	c, err := p.load(cmd, false)
	if err != nil {
		return err
	}
	progress := p.startProgress()
	err = p.app.Reindex(cmd.Context(), c, progress.console())
	progress.stop()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.stdout, "index and catalog are complete")
	return err
}
