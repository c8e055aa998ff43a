package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/internal/app"
	"github.com/mailkeep/mailkeep/mail"
)

// search returns the command that searches the archive.
func (p *program) search() *cobra.Command {
	var asJSON bool
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

docs/search.md tells all of it.`,
		Example: `  mailkeep search invoice
  mailkeep search 'from:alice "annual report" has:attachment after:2024-01-01'
  mailkeep search --limit 100 --json 'mailbox:office larger:10M'
  mailkeep search --explain 'older_than:6m is:list'
  mailkeep search -- -spam offer`,
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Query = strings.Join(args, " ")
			return p.runSearch(cmd, req, asJSON)
		},
	}
	cmd.Flags().IntVar(&req.Limit, "limit", 20, "most `hits` of the page")
	cmd.Flags().StringVar(&req.After, "after", "", "go on behind an earlier page: the `token` that it ended with")
	cmd.Flags().StringVar(&req.Zone, "zone", "", "days begin and end in this time `zone`, such as Europe/Berlin or +02:00; default UTC")
	cmd.Flags().BoolVar(&req.Strict, "strict", false, "refuse a query that can be read in two ways")
	cmd.Flags().BoolVar(&req.Explain, "explain", false, "say in words how the query was understood")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the answer as JSON")
	return cmd
}

func (p *program) runSearch(cmd *cobra.Command, req mail.SearchRequest, asJSON bool) error {
	if strings.TrimSpace(req.Query) == "" {
		return usagef(cmd.CommandPath(), "what to search for is missing")
	}
	if req.Limit < 1 {
		return usagef(cmd.CommandPath(), "--limit must be 1 or more")
	}
	return p.withClient(cmd, func(ctx context.Context, c *configs.Config, cl client) error {
		if req.Limit > c.Search.MaxLimit {
			return usagef(cmd.CommandPath(), "--limit %d is more than search.max_limit, %d", req.Limit, c.Search.MaxLimit)
		}
		ctx, cancel := context.WithTimeout(ctx, durationOf(c.Search.Timeout))
		defer cancel()
		answer, err := cl.Search(ctx, req)
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(p.stdout, answer)
		}
		return renderAnswer(p.stdout, answer, p.style())
	})
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
