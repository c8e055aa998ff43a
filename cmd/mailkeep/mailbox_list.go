package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/internal/app"
	"github.com/mailkeep/mailkeep/mail"
)

// A listedMailbox is the JSON form of a line of mailbox list.
type listedMailbox struct {
	Name     string `json:"name"`
	Host     string `json:"host"` // host:port
	User     string `json:"user"`
	Security string `json:"security"`
	Delete   string `json:"delete"`
	Schedule string `json:"schedule"`
	// State is "ok", "running", "never polled", the class of the error that the
	// last session ended with, or "unknown" where the archive could not be asked.
	State   string `json:"state"`
	Problem string `json:"problem,omitempty"`
}

// mailboxList returns the command that lists what is configured.
func (p *program) mailboxList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list the configured mailboxes and how they are doing",
		Long: `List prints each mailbox of the configuration with its server, login name, what
happens to sealed messages, and when it is polled. How it is doing is asked from
the archive; where there is none yet, or it cannot be asked, that is unknown.`,
		Example: `  mailkeep mailbox list
  mailkeep mailbox list --json | jq -r '.[] | select(.problem) | .name'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.runMailboxList(cmd, asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the list as JSON")
	return cmd
}

func (p *program) runMailboxList(cmd *cobra.Command, asJSON bool) error {
	c, err := p.load(cmd, false)
	if err != nil {
		return err
	}
	if len(c.Mailboxes) == 0 {
		return noMailboxes(c.File)
	}
	states, err := p.mailboxStates(cmd.Context(), c)
	if err != nil && mail.KindOf(err) != mail.NotFound {
		printLine(p.stderr, "mailkeep: warning: the state of the mailboxes is unknown: "+err.Error())
	}
	list := listMailboxes(c, states)
	if asJSON {
		return printJSON(p.stdout, list)
	}
	return renderMailboxList(p.stdout, list)
}

// mailboxStates asks the archive; it has no answer before its first start.
func (p *program) mailboxStates(ctx context.Context, c *configs.Config) (map[string]app.MailboxStatus, error) {
	cl, err := p.app.Open(ctx, c, app.Console{Logs: p.stderr})
	if err != nil {
		return nil, err
	}
	report, err := cl.Status(ctx)
	if errClose := cl.Close(); err == nil {
		err = errClose
	}
	states := make(map[string]app.MailboxStatus, len(report.Mailboxes))
	for _, m := range report.Mailboxes {
		states[m.Name] = m
	}
	return states, err
}

func listMailboxes(c *configs.Config, states map[string]app.MailboxStatus) []listedMailbox {
	list := make([]listedMailbox, 0, len(c.Mailboxes))
	for _, m := range c.Resolve() {
		l := listedMailbox{Name: m.Name, Host: m.Address, User: m.User, Security: m.Security, Delete: m.Delete,
			Schedule: "every " + configs.Duration(m.Interval).String(), State: "unknown"}
		if m.Timetable != nil {
			l.Schedule = m.Timetable.String()
		}
		if s, ok := states[m.Name]; ok {
			l.State, l.Problem = cmp.Or(s.Outcome, "never polled"), s.Problem
			if s.Running {
				l.State = "running"
			}
		}
		list = append(list, l)
	}
	return list
}

func renderMailboxList(w io.Writer, list []listedMailbox) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "MAILBOX\tUSER\tSERVER\tSECURITY\tDELETE\tPOLLED\tSTATE")
	for _, m := range list {
		state := m.State
		if m.Problem != "" {
			state += ": " + m.Problem
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", printable(m.Name), printable(m.User), printable(m.Host),
			m.Security, m.Delete, m.Schedule, printable(state))
	}
	return tw.Flush()
}
