package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/mailkeep/mailkeep/internal/app"
	"github.com/mailkeep/mailkeep/mail"
)

// hold returns the commands about legal holds.
func (p *program) hold() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hold",
		Short: "forbid that mail is erased, for a legal matter",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.holdAdd(), p.holdList(), p.holdRelease())
	return cmd
}

// A holding is what hold add was asked for.
type holding struct {
	mail.Hold
	ids    []string
	file   string
	asJSON bool
}

func (p *program) holdAdd() *cobra.Command {
	var h holding
	cmd := &cobra.Command{
		Use:   "add matter",
		Short: "place mail under a legal hold",
		Long: `Add places mail under MATTER: whole mailboxes, with all that they have and will get;
messages by their ids; or what a query finds now. What a matter holds adds up over
several calls. Held mail is not erased, its segments stay on the disk, and a store
with Object Lock is told to keep them, for as long as the matter holds.

A query is asked once: mail that comes later is not held by it. Where text could not
be read, as in encrypted mail, a query may miss something: hold the mailbox then.

The hold is an event in the ledger, with its reason, its time and the user of the
operating system who placed it. Do not write names of persons into it: it stays for
good.`,
		Example: `  mailkeep hold add 2026-17 --reason "Doe v. Roe, letter of 3 March" --mailbox sales --mailbox ceo
  mailkeep hold add 2026-17 --reason "the offer" --query 'from:alice subject:offer'
  mailkeep hold add 2026-18 --reason "audit" --id 0-1234 --id 0-1240`,
		Args: exactArgs(1, "one matter"),
		RunE: func(cmd *cobra.Command, args []string) error {
			h.Matter = args[0]
			return p.runHoldAdd(cmd, h)
		},
	}
	f := cmd.Flags()
	f.StringVar(&h.Reason, "reason", "", "why: the case, the order")
	f.StringArrayVar(&h.Mailboxes, "mailbox", nil, "`name` of a mailbox to hold; may be repeated")
	f.StringArrayVar(&h.ids, "id", nil, "`id` of a message to hold; may be repeated")
	f.StringVar(&h.file, "ids", "", "`file` with one id a line; - is standard input")
	f.StringVar(&h.Query, "query", "", "hold what this `query` finds now")
	f.BoolVar(&h.asJSON, "json", false, "print the matter as JSON")
	return cmd
}

func (p *program) runHoldAdd(cmd *cobra.Command, h holding) error {
	if err := p.needReason(cmd, h.Reason); err != nil {
		return err
	}
	if len(h.Mailboxes)+len(h.ids) == 0 && h.file == "" && h.Query == "" {
		return usagef(cmd.CommandPath(), "nothing is named: give --mailbox, --id, --ids or --query")
	}
	var err error
	if h.Records, err = readIDs(cmd.InOrStdin(), h.ids, h.file); err != nil {
		return err
	}
	h.By = operator()
	c, err := p.load(cmd, false)
	if err != nil {
		return err
	}
	var m mail.Matter
	var partly uint64
	if h.Query != "" {
		m, partly, err = p.app.HoldFound(cmd.Context(), c, h.Hold, app.Console{Logs: p.stderr})
	} else {
		m, err = p.app.Hold(cmd.Context(), c, h.Hold, app.Console{Logs: p.stderr})
	}
	if err != nil {
		return err
	}
	if partly > 0 {
		printLine(p.stderr, fmt.Sprintf("mailkeep: warning: of %s in the archive not all text could be searched: the query may have missed some", count(partly, "message")))
	}
	return p.printMatter(m, h.asJSON)
}

func (p *program) printMatter(m mail.Matter, asJSON bool) error {
	if asJSON {
		return printJSON(p.stdout, m)
	}
	_, err := fmt.Fprintln(p.stdout, printable(fmt.Sprintf("%s: %s", m.Matter, scope(m))))
	return err
}

// scope tells in words what a matter holds.
func scope(m mail.Matter) string {
	if !m.Holds() {
		return "released " + m.Released.UTC().Format(time.RFC3339)
	}
	var parts []string
	if len(m.Mailboxes) > 0 {
		parts = append(parts, "mailboxes "+strings.Join(m.Mailboxes, ", "))
	}
	if m.Records > 0 {
		parts = append(parts, count(m.Records, "message"))
	}
	return "holds " + strings.Join(parts, " and ")
}

func (p *program) holdList() *cobra.Command {
	var asJSON, all bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list the legal matters that hold mail",
		Example: `  mailkeep hold list
  mailkeep hold list --all --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.load(cmd, false)
			if err != nil {
				return err
			}
			matters, err := p.app.Matters(cmd.Context(), c, app.Console{Logs: p.stderr})
			if err != nil {
				return err
			}
			if !all {
				matters = slices.DeleteFunc(matters, func(m mail.Matter) bool { return !m.Holds() })
			}
			if asJSON {
				return printJSON(p.stdout, append([]mail.Matter{}, matters...))
			}
			return renderMatters(p.stdout, matters)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "list those that were released too")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the list as JSON")
	return cmd
}

func renderMatters(out io.Writer, matters []mail.Matter) error {
	if len(matters) == 0 {
		_, err := fmt.Fprintln(out, "nothing is held")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MATTER\tPLACED\tBY\tSCOPE\tREASON")
	for _, m := range matters {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", printable(m.Matter), m.Placed.UTC().Format(time.DateOnly), printable(m.By), printable(scope(m)), printable(m.Reason))
	}
	return w.Flush()
}

func (p *program) holdRelease() *cobra.Command {
	h := mail.Hold{Released: true}
	cmd := &cobra.Command{
		Use:   "release matter",
		Short: "release all mail that a legal matter holds",
		Long: `Release ends all that MATTER holds. What another matter holds too stays held, and what
a store was told to retain it retains until its date.`,
		Example: `  mailkeep hold release 2026-17 --reason "settled on 4 May"`,
		Args:    exactArgs(1, "one matter"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := p.needReason(cmd, h.Reason); err != nil {
				return err
			}
			c, err := p.load(cmd, false)
			if err != nil {
				return err
			}
			h.Matter, h.By = args[0], operator()
			m, err := p.app.Hold(cmd.Context(), c, h, app.Console{Logs: p.stderr})
			if err != nil {
				return err
			}
			return p.printMatter(m, false)
		},
	}
	cmd.Flags().StringVar(&h.Reason, "reason", "", "why: the settlement, the order")
	return cmd
}

func (p *program) needReason(cmd *cobra.Command, reason string) error {
	if strings.TrimSpace(reason) == "" {
		return usagef(cmd.CommandPath(), "--reason is missing: it is kept for those who ask in years to come")
	}
	return nil
}

// operator names the user of the operating system.
func operator() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "uid " + strconv.Itoa(os.Getuid())
}

// readIDs reads ids from arguments and from a file, one a line.
func readIDs(stdin io.Reader, args []string, file string) (ids []mail.ID, err error) {
	for _, a := range args {
		id, err := mail.ParseID(a)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	if file == "" {
		return ids, nil
	}
	r := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, mail.Errorf(mail.Invalid, "read the ids: %w", err)
		}
		defer f.Close()
		r = f
	}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		text := strings.TrimSpace(lines.Text())
		if text == "" {
			continue
		}
		id, err := mail.ParseID(text)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the ids: %w", err)
	}
	return ids, nil
}
