package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/mailkeep/mailkeep/internal/app"
	"github.com/mailkeep/mailkeep/mail"
)

// demo returns the command that shows the product on its own server and mail.
func (p *program) demo() *cobra.Command {
	var o app.DemoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "show the product on a sample server and sample mail",
		Long: `Demo starts a sample POP3 server on this machine, drains it into an archive of its
own, searches and verifies it, and says what it does. It reads no configuration and
touches nothing else, but for the compiled reader of PDF, which it leaves in the
user's cache directory.`,
		Example: `  mailkeep demo
  mailkeep demo --dir ./demo --keep-running`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Watch = func() (app.Console, func()) {
				g := p.startProgress()
				return g.console(), g.stop
			}
			o.ShowDrain = renderDrain
			o.ShowVerify = renderVerify
			o.ShowHits = func(w io.Writer, a mail.SearchAnswer) error { return renderAnswer(w, a, p.style()) }
			return p.app.Demo(cmd.Context(), o, p.stdout, app.Console{Logs: p.stderr})
		},
	}
	cmd.Flags().StringVar(&o.Dir, "dir", "", "keep the archive in this `directory`; default is one that is removed at the end")
	cmd.Flags().BoolVar(&o.KeepRunning, "keep-running", false, "go on draining and answering after the tour, until interrupted")
	return cmd
}
