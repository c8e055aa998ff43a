package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/mailkeep/mailkeep/configs"
)

// config returns the commands about the configuration.
func (p *program) config() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "check the configuration, or print its reference",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.configCheck(), p.configReference())
	return cmd
}

func (p *program) configCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "report every fault of the configuration, without running anything",
		Long: `Check reads the configuration as run would, environment and flags included, and
prints every fault with its file and line. It connects to nothing. The exit status
is 2 if there are faults.`,
		Example: `  mailkeep config check --config mailkeep.yaml`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.load(cmd, true)
			if err != nil {
				return err
			}
			return renderChecked(p.stdout, c)
		},
	}
}

// renderChecked sums up a configuration without faults, so that a reader sees
// what would be polled and whether it deletes.
func renderChecked(w io.Writer, c *configs.Config) error {
	hosts := make(map[string]bool)
	deleting := 0
	for _, m := range c.Resolve() {
		hosts[m.HostKey] = true
		if m.Delete != configs.DeleteNever {
			deleting++
		}
	}
	_, err := fmt.Fprintf(w, "the configuration is valid: %s on %s; %d delete what is sealed; archive in %s\n",
		boxes(len(c.Mailboxes)), count(len(hosts), "host"), deleting, printable(c.Archive.Dir))
	return err
}

func (p *program) configReference() *cobra.Command {
	return &cobra.Command{
		Use:     "reference",
		Short:   "print all keys with their defaults and meanings, as YAML",
		Example: `  mailkeep config reference > mailkeep.yaml`,
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := io.WriteString(p.stdout, configs.Reference())
			return err
		},
	}
}
