package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/mailkeep/mailkeep/internal/app"
	"github.com/mailkeep/mailkeep/mail"
)

// saved returns the commands about saved searches.
func (p *program) saved() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "saved",
		Short: "list, run and delete saved searches",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.savedList(), p.savedRun(), p.savedDelete())
	return cmd
}

func (p *program) savedList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "show the saved searches",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.load(cmd, false)
			if err != nil {
				return err
			}
			all, err := p.app.SavedSearches(cmd.Context(), c)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(p.stdout, append([]mail.SavedSearch{}, all...))
			}
			return renderSaved(p.stdout, all)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print them as JSON")
	return cmd
}

func renderSaved(out io.Writer, all []mail.SavedSearch) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(out, "no searches are saved; mailkeep search --save NAME saves one")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tALERT\tSAVED\tBY\tQUERY")
	for _, s := range all {
		alert := "no"
		if s.Alert {
			alert = "yes"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", printable(s.Name), alert, day(s.Created, nil), printable(s.By), printable(s.Query))
	}
	return w.Flush()
}

func (p *program) savedRun() *cobra.Command {
	var form searchForm
	req := mail.SearchRequest{}
	cmd := &cobra.Command{
		Use:   "run name",
		Short: "ask a saved search now",
		Args:  exactArgs(1, "one name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.load(cmd, false)
			if err != nil {
				return err
			}
			all, err := p.app.SavedSearches(cmd.Context(), c)
			if err != nil {
				return err
			}
			for _, s := range all {
				if s.Name == args[0] {
					req.Query, req.Zone = s.Query, s.Zone
					return p.runSearch(cmd, req, form)
				}
			}
			return mail.WithHint(mail.Errorf(mail.NotFound, "there is no saved search %q", args[0]), "mailkeep saved list shows those that there are")
		},
	}
	cmd.Flags().IntVar(&req.Limit, "limit", 20, "most `hits` of the page")
	cmd.Flags().StringVar(&req.After, "after", "", "go on behind an earlier page: the `token` that it ended with")
	cmd.Flags().BoolVar(&req.Count, "count", false, "show no hits, only how many there are")
	cmd.Flags().BoolVar(&form.json, "json", false, "print the answer as JSON")
	cmd.Flags().BoolVar(&form.csv, "csv", false, "print the hits as CSV, one a line, and the rest to standard error")
	return cmd
}

func (p *program) savedDelete() *cobra.Command {
	return &cobra.Command{
		Use:   "delete name",
		Short: "forget a saved search",
		Args:  exactArgs(1, "one name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.load(cmd, false)
			if err != nil {
				return err
			}
			return p.app.DropSearch(cmd.Context(), c, args[0])
		},
	}
}

// save keeps a search that is about to be asked.
func (p *program) save(cmd *cobra.Command, req mail.SearchRequest, form searchForm) error {
	c, err := p.load(cmd, false)
	if err != nil {
		return err
	}
	s := mail.SavedSearch{Name: form.save, Query: req.Query, Zone: req.Zone, By: operator(), Alert: form.alert}
	s, err = p.app.SaveSearch(cmd.Context(), c, s, app.Console{Logs: p.stderr})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stderr, "saved as %s\n", printable(s.Name))
	return err
}
