package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/mailkeep/mailkeep/internal/app"
	"github.com/mailkeep/mailkeep/mail"
)

// maxInput bounds what parse reads from standard input.
const maxInput = 256 << 20

// A parsing holds the flags of parse.
type parsing struct {
	text, tree  bool
	documents   bool
	mailboxMode string
}

// parse returns the command that shows what is made of a message in a file.
func (p *program) parse() *cobra.Command {
	var s parsing
	cmd := &cobra.Command{
		Use:   "parse file|-",
		Short: "show what is made of a message in a file",
		Long: `Parse reads a message from a file, or from standard input, and prints what the
index would be told of it: the record as JSON, or with --text what can be searched,
or with --tree its parts. It needs no archive and no configuration, and keeps nothing.

There is no message that it refuses: what is wrong with one is listed as defects.
With --mailbox-mode journal it is read as a journal report, if it is one. Texts of
attached documents are read with --documents, in a process of their own.`,
		Example: `  mailkeep parse message.eml
  mailkeep show 0-1234 --raw | mailkeep parse --tree -
  mailkeep parse --mailbox-mode journal --text report.eml`,
		Args: exactArgs(1, "one file, or - for standard input"),
		RunE: func(cmd *cobra.Command, args []string) error { return p.runParse(cmd, args[0], s) },
	}
	f := cmd.Flags()
	f.BoolVar(&s.text, "text", false, "print what can be searched")
	f.BoolVar(&s.tree, "tree", false, "print the parts")
	f.BoolVar(&s.documents, "documents", false, "read the texts of attached documents")
	f.StringVar(&s.mailboxMode, "mailbox-mode", "ordinary", "read it as mail of such a mailbox: ordinary or journal (`mode`)")
	cmd.MarkFlagsMutuallyExclusive("text", "tree")
	return cmd
}

func (p *program) runParse(cmd *cobra.Command, name string, s parsing) error {
	if s.mailboxMode != "ordinary" && s.mailboxMode != "journal" {
		return usagef(cmd.CommandPath(), "--mailbox-mode is ordinary or journal, not %q", s.mailboxMode)
	}
	m, err := p.inspect(cmd.Context(), cmd.InOrStdin(), name, app.InspectOptions{Journal: s.mailboxMode == "journal", Documents: s.documents})
	switch {
	case err != nil:
		return err
	case s.text:
		return renderSearched(p.stdout, m, p.style())
	case s.tree:
		return renderTree(p.stdout, m, p.style())
	}
	return printJSON(p.stdout, m)
}

// inspect reads the message in a file, or in stdin for "-".
func (p *program) inspect(ctx context.Context, stdin io.Reader, name string, o app.InspectOptions) (*mail.Message, error) {
	if name == "-" {
		b, err := io.ReadAll(io.LimitReader(stdin, maxInput+1))
		switch {
		case err != nil:
			return nil, fmt.Errorf("read standard input: %w", err)
		case len(b) > maxInput:
			return nil, mail.WithHint(mail.Errorf(mail.Invalid, "standard input has more than %s", octets(maxInput)), "write it to a file and name that")
		}
		return p.app.Inspect(ctx, bytes.NewReader(b), int64(len(b)), o)
	}
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, mail.Errorf(mail.Invalid, "there is no file %s", name)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, mail.WithHint(mail.Errorf(mail.Invalid, "%s is not a file", name), "name a file with one message, or - for standard input")
	}
	return p.app.Inspect(ctx, f, info.Size(), o)
}
