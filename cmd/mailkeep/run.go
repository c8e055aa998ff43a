package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mailkeep/mailkeep/internal/app"
	"github.com/mailkeep/mailkeep/mail"
)

// run returns the command that polls on schedule until it is told to stop.
func (p *program) run() *cobra.Command {
	var names []string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "poll the mailboxes on schedule until told to stop",
		Long: `Run polls the mailboxes on schedule, archives and indexes, until SIGINT or
SIGTERM. It then starts no more sessions, lets those in flight finish within
poll.stop_grace, and exits with status 0. A second signal kills it at once.

All roles run in one process unless --role (or MAILKEEP_ROLE) names some. Roles in
different processes meet on an external NATS cluster (nats.url).`,
		Example: `  mailkeep run --config /etc/mailkeep/mailkeep.yaml
  mailkeep run --role poller --nats-url tls://nats.example.org:4222
  mailkeep run --role archive,index --http-listen :8025`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.runRun(cmd, names) },
	}
	cmd.Flags().StringSliceVar(&names, "role", nil, "take only these `roles`: poller, archive, index")
	return cmd
}

func (p *program) runRun(cmd *cobra.Command, names []string) error {
	if env := p.getenv("MAILKEEP_ROLE"); len(names) == 0 && env != "" {
		names = strings.Split(env, ",")
	}
	roles, err := parseRoles(cmd.CommandPath(), names)
	if err != nil {
		return err
	}
	polls := slices.Contains(roles, app.RolePoller)
	c, err := p.load(cmd, polls)
	if err != nil {
		return err
	}
	if polls && len(c.Mailboxes) == 0 {
		return noMailboxes(c.File)
	}
	if len(roles) < len(app.Roles()) && c.NATS.URL == "" {
		return mail.WithHint(mail.Errorf(mail.Invalid, "a process with only some of the roles cannot meet the others on the embedded NATS server"),
			"set nats.url, or leave --role out")
	}
	return p.app.Run(cmd.Context(), c, roles, app.Console{Logs: p.stderr})
}

// parseRoles returns the named roles without repeats; all, if none is named.
func parseRoles(command string, names []string) ([]app.Role, error) {
	if len(names) == 0 {
		return app.Roles(), nil
	}
	var roles []app.Role
	for _, name := range names {
		r := app.Role(strings.TrimSpace(name))
		if !slices.Contains(app.Roles(), r) {
			return nil, usagef(command, "no such role: %q: the roles are poller, archive and index", name)
		}
		if !slices.Contains(roles, r) {
			roles = append(roles, r)
		}
	}
	return roles, nil
}

func noMailboxes(file string) error {
	where := file
	if where == "" {
		where = "the configuration (no file was found)"
	}
	return mail.WithHint(mail.Errorf(mail.Invalid, "%s names no mailboxes", where),
		"add mailboxes, or name a configuration file with --config")
}
