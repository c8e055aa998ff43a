package main

import (
	"context"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/mail"
)

// A program is what all commands of one command line share.
type program struct {
	app    application
	stdout io.Writer
	stderr io.Writer
	env    []string

	file    string // --config
	started bool   // a command was found and its arguments were accepted
}

// defaultFiles are tried in this order where no configuration file is named.
var defaultFiles = []string{"mailkeep.yaml", "/etc/mailkeep/mailkeep.yaml"}

// root returns the command tree.
func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "mailkeep",
		Short: "drain POP3 mailboxes into a sealed, searchable archive",
		Long: `mailkeep drains POP3 mailboxes into a sealed, searchable archive. A message is
deleted on the server only after the archive has written, hashed and fsynced it.

The configuration is read from --config, else from the file that MAILKEEP_CONFIG
names, else from ./mailkeep.yaml or /etc/mailkeep/mailkeep.yaml if there is one.
Environment variables (MAILKEEP_...) and flags override it.

` + exitHelp,
		Example: `  mailkeep demo
  mailkeep config check --config mailkeep.yaml
  mailkeep run --config mailkeep.yaml
  mailkeep search 'from:alice "annual report" has:attachment after:2024-01-01'`,
		Args:          noArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.PersistentFlags().StringVar(&p.file, "config", "", "configuration `file`")
	configs.AddFlags(root.PersistentFlags())
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef(cmd.CommandPath(), "%w", err)
	})
	root.AddCommand(p.demo(), p.run(), p.drain(), p.search(), p.saved(), p.show(), p.parse(), p.proof(), p.verify(), p.status(),
		p.mailbox(), p.hold(), p.erase(), p.reindex(), p.reparse(), p.backup(), p.restore(), p.repair(), p.newKey(), p.keys(), p.config(), p.health(), p.version())
	root.InitDefaultCompletionCmd()
	root.SetUsageFunc(plainSwitches(root.UsageFunc()))
	p.prepare(root)
	return root
}

// plainSwitches takes the library's "[=true|false]" off the flags that are
// switches: everybody writes --json.
func plainSwitches(usage func(*cobra.Command) error) func(*cobra.Command) error {
	const values = "[=true|false]"
	return func(cmd *cobra.Command) error {
		var text strings.Builder
		out := cmd.OutOrStderr()
		cmd.SetOut(&text)
		err := usage(cmd)
		cmd.SetOut(out)
		if err != nil {
			return err
		}
		_, err = io.WriteString(out, strings.ReplaceAll(text.String(), values, strings.Repeat(" ", len(values))))
		return err
	}
}

// prepare makes each command that only groups others refuse arguments that name
// none of them, and notes when a command starts: an error before is the library's
// verdict on the command line, and carries no kind.
func (p *program) prepare(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		p.prepare(sub)
	}
	if cmd.HasSubCommands() {
		cmd.Args = noArgs
	}
	if start := cmd.RunE; start != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			p.started = true
			return start(cmd, args)
		}
	}
}

// execute runs the command line. Errors of the library are errors of usage.
func (p *program) execute(ctx context.Context, args []string) error {
	root := p.root()
	root.SetArgs(args)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	err := root.ExecuteContext(ctx)
	if err != nil && !p.started && mail.KindOf(err) == mail.Other {
		return usagef(root.Name(), "%w", err)
	}
	return err
}

// noArgs refuses arguments, as words that are not a command or as too many.
func noArgs(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case cmd.HasSubCommands():
		cmd.SuggestionsMinimumDistance = 2
		err := mail.Errorf(mail.Invalid, "no such command: %s %s", cmd.CommandPath(), args[0])
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			return mail.WithHint(err, "did you mean %s %s?", cmd.CommandPath(), near[0])
		}
		return mail.WithHint(err, "see %s --help", cmd.CommandPath())
	}
	return usagef(cmd.CommandPath(), "%s takes no arguments", cmd.CommandPath())
}

// exactArgs requires n arguments; what names them.
func exactArgs(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usagef(cmd.CommandPath(), "%s takes %s", cmd.CommandPath(), what)
		}
		return nil
	}
}

// someArgs requires an argument or more; what names them.
func someArgs(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usagef(cmd.CommandPath(), "%s takes %s", cmd.CommandPath(), what)
		}
		return nil
	}
}

// load reads the configuration of cmd and prints its warnings. secrets says
// whether the command logs in to mailboxes.
func (p *program) load(cmd *cobra.Command, secrets bool) (*configs.Config, error) {
	c, err := configs.Load(configs.Sources{
		File:        p.configFile(),
		Env:         p.env,
		Flags:       cmd.Flags(),
		SkipSecrets: !secrets,
	})
	if err != nil {
		return nil, err
	}
	for _, w := range c.Warnings {
		printLine(p.stderr, "mailkeep: warning: "+w.String())
	}
	return c, nil
}

// configFile returns the name of the configuration file, or "" if none is named
// and none of the default files exists.
func (p *program) configFile() string {
	if p.file != "" {
		return p.file
	}
	if name := p.getenv("MAILKEEP_CONFIG"); name != "" {
		return name
	}
	i := slices.IndexFunc(defaultFiles, func(name string) bool {
		_, err := os.Stat(name)
		return err == nil
	})
	if i < 0 {
		return ""
	}
	return defaultFiles[i]
}

func (p *program) getenv(name string) string {
	for _, kv := range slices.Backward(p.env) {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v
		}
	}
	return ""
}
