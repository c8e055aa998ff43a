package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/internal/app"
	"github.com/mailkeep/mailkeep/mail"
)

// search returns the command that searches the archive.
func (p *program) search() *cobra.Command {
	var form searchForm
	var req mail.SearchRequest
	cmd := &cobra.Command{
		Use:   "search query...",
		Short: "find messages, newest first",
		Long: `Search finds messages, newest first, and says how much of the archive it
searched. Words must all occur; AND, OR, NOT, - and parentheses combine them.

  "two words"             a phrase; "two words"~5 near each other, in any order
  invoi*  invoice~        words that start so; words with one letter different
  stem:houses             words of the same stem
  from: to: cc: bcc: participants: domain:
                          a name, an address, @domain, or *part* of an address
  subject: body: attachment: filename: filetype:
                          words of that text; an extension or media type
  has: is:                has:pdf, has:link, is:bounce, is:reply, is:encrypted, ...
  before: after: on:      a date: 2024-01-31, 2024-01 or 2024; on:2024-01..2024-03
  older_than: newer_than: an age: 7d, 2w, 6m, 1y
  received: sealed:       a date of arrival, of archiving
  larger: smaller:        a size: 500k, 10M
  mailbox: list: lang: hash: message-id: defect: hold:
                          a value as a whole

docs/search.md tells all of it.

--by relevance orders by how much the words count in a message. --group shows one
message of each conversation (thread), or of those that differ in trace fields alone
(copy). --facets counts all messages that were found, by sender, domain, mailbox,
year, month, type or class. --partly lists the messages that could not be fully read, and so
might match for all that is known.`,
		Example: `  mailkeep search invoice
  mailkeep search 'from:alice "annual report" has:attachment after:2024-01-01'
  mailkeep search --limit 100 --json 'mailbox:office larger:10M'
  mailkeep search --explain 'older_than:6m is:list'
  mailkeep search --count --facets sender,month 'has:pdf'
  mailkeep search --csv --limit 200 invoice > invoices.csv
  mailkeep search --partly 'mailbox:office contract'
  mailkeep search --save offers --alert 'subject:offer from:@example.com'
  mailkeep search -- -spam offer`,
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Query = strings.Join(args, " ")
			return p.runSearch(cmd, req, form)
		},
	}
	cmd.Flags().IntVar(&req.Limit, "limit", 20, "most `hits` of the page")
	cmd.Flags().StringVar(&req.After, "after", "", "go on behind an earlier page: the `token` that it ended with")
	cmd.Flags().StringVar(&req.Zone, "zone", "", "days begin and end in this time `zone`, such as Europe/Berlin or +02:00; default UTC")
	cmd.Flags().BoolVar(&req.Strict, "strict", false, "refuse a query that can be read in two ways")
	cmd.Flags().BoolVar(&req.Explain, "explain", false, "say in words how the query was understood")
	cmd.Flags().StringVar(&req.By, "by", "", "`order` of hits: date (newest first) or relevance; default date")
	cmd.Flags().StringVar(&req.Group, "group", "", "show one hit of each `group`: thread or copy")
	cmd.Flags().StringSliceVar(&req.Facets, "facets", nil, "count all hits by these `names`: "+strings.Join(mail.FacetNames(), ", "))
	cmd.Flags().IntVar(&req.FacetValues, "facet-values", 0, "most `values` of each facet; default 10")
	cmd.Flags().BoolVar(&req.Partly, "partly", false, "list the messages in the scope of the query that could not be fully read")
	cmd.Flags().BoolVar(&req.Count, "count", false, "show no hits, only how many there are")
	cmd.Flags().BoolVar(&form.json, "json", false, "print the answer as JSON")
	cmd.Flags().BoolVar(&form.csv, "csv", false, "print the hits as CSV, one a line, and the rest to standard error")
	cmd.Flags().StringVar(&form.save, "save", "", "save the query under this `name`; see mailkeep saved")
	cmd.Flags().BoolVar(&form.alert, "alert", false, "with --save: tell of new mail that it finds, by search.alert_program")
	return cmd
}

// A searchForm is how an answer is printed.
type searchForm struct {
	json, csv bool
	save      string // the name to save it under; empty: it is not saved
	alert     bool
}

func (p *program) runSearch(cmd *cobra.Command, req mail.SearchRequest, form searchForm) error {
	if strings.TrimSpace(req.Query) == "" {
		return usagef(cmd.CommandPath(), "what to search for is missing")
	}
	if req.Limit < 1 {
		return usagef(cmd.CommandPath(), "--limit must be 1 or more")
	}
	if err := checkForm(cmd.CommandPath(), req, form); err != nil {
		return err
	}
	if form.save != "" {
		if err := p.save(cmd, req, form); err != nil {
			return err
		}
	}
	return p.withClient(cmd, func(ctx context.Context, c *configs.Config, cl client) error {
		if req.Limit > c.Search.MaxLimit {
			return usagef(cmd.CommandPath(), "--limit %d is more than search.max_limit, %d", req.Limit, c.Search.MaxLimit)
		}
		req.Evidence = form.json // only there it is shown
		ctx, cancel := context.WithTimeout(ctx, durationOf(c.Search.Timeout))
		defer cancel()
		answer, err := cl.Search(ctx, req)
		if err != nil {
			return err
		}
		return p.printAnswer(answer, form)
	})
}

// checkForm refuses what cannot be asked for or printed.
func checkForm(command string, req mail.SearchRequest, form searchForm) error {
	oneOf := func(flag, value string, values ...string) error {
		if value == "" || slices.Contains(values, value) {
			return nil
		}
		return usagef(command, "--%s %s: it must be one of %s", flag, value, strings.Join(values, ", "))
	}
	for _, f := range req.Facets {
		if err := oneOf("facets", f, mail.FacetNames()...); err != nil {
			return err
		}
	}
	if err := oneOf("by", req.By, mail.ByDate, mail.ByRelevance); err != nil {
		return err
	}
	if err := oneOf("group", req.Group, mail.GroupThread, mail.GroupCopy); err != nil {
		return err
	}
	switch {
	case form.alert && form.save == "":
		return usagef(command, "--alert is for a search that is saved: add --save")
	case form.save != "" && (req.Partly || req.After != ""):
		return usagef(command, "a saved search has no --partly and no --after")
	case form.json && form.csv:
		return usagef(command, "--json and --csv exclude each other")
	case form.csv && (req.Count || len(req.Facets) > 0):
		return usagef(command, "--csv lists hits; counts are printed without it, or with --json")
	case req.Group != "" && req.By == mail.ByRelevance:
		return usagef(command, "groups are ordered by date: leave --by or --group out")
	case req.FacetValues < 0 || req.FacetValues > mail.MaxFacetValues:
		return usagef(command, "--facet-values must be 1 to %d", mail.MaxFacetValues)
	}
	return nil
}

func (p *program) printAnswer(a mail.SearchAnswer, form searchForm) error {
	switch {
	case form.json:
		return printJSON(p.stdout, a)
	case form.csv:
		if err := renderCSV(p.stdout, a); err != nil {
			return err
		}
		a.Hits = nil
		return renderAnswer(p.stderr, a, style{})
	}
	return renderAnswer(p.stdout, a, p.style())
}

// withClient opens the archive for one command that reads it.
func (p *program) withClient(cmd *cobra.Command, f func(context.Context, *configs.Config, client) error) error {
	c, err := p.load(cmd, false)
	if err != nil {
		return err
	}
	cl, err := p.app.Open(cmd.Context(), c, app.Console{Logs: p.stderr})
	if err != nil {
		return err
	}
	err = f(cmd.Context(), c, cl)
	if errClose := cl.Close(); err == nil {
		err = errClose
	}
	return err
}
