package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/internal/app"
	"github.com/mailkeep/mailkeep/mail"
)

// A showing holds the flags of show.
type showing struct {
	raw        bool
	headers    bool
	asJSON     bool
	attachment int
	output     string
}

// show returns the command that shows one message.
func (p *program) show() *cobra.Command {
	var s showing
	cmd := &cobra.Command{
		Use:   "show id",
		Short: "show a message, its exact bytes or an attachment",
		Long: `Show prints a message: its main header fields, its text and the list of its
attachments. The id is the one that search prints. The text is made from the raw
bytes at each call; what cannot be read is listed as a defect.

Exact bytes (--raw) and attachments are not written to a terminal: redirect them
or name a file with --output, which must not exist yet.`,
		Example: `  mailkeep show 0-1234
  mailkeep show 0-1234 --raw > message.eml
  mailkeep show 0-1234 --attachment 2 --output report.pdf`,
		Args: exactArgs(1, "one id, such as 0-1234"),
		RunE: func(cmd *cobra.Command, args []string) error { return p.runShow(cmd, args[0], s) },
	}
	f := cmd.Flags()
	f.BoolVar(&s.raw, "raw", false, "write the exact bytes as the server sent them")
	f.BoolVar(&s.headers, "headers", false, "print all header fields")
	f.IntVar(&s.attachment, "attachment", 0, "write the decoded content of the attachment with this `number`")
	f.StringVarP(&s.output, "output", "o", "", "write to this `file` instead of standard output")
	f.BoolVar(&s.asJSON, "json", false, "print the record and the parsed message as JSON")
	cmd.MarkFlagsMutuallyExclusive("raw", "attachment", "json")
	cmd.MarkFlagsMutuallyExclusive("raw", "attachment", "headers")
	return cmd
}

func (p *program) runShow(cmd *cobra.Command, arg string, s showing) error {
	id, err := mail.ParseID(arg)
	if err != nil {
		return err
	}
	attachment := cmd.Flags().Changed("attachment")
	switch {
	case attachment && s.attachment < 1:
		return usagef(cmd.CommandPath(), "attachments are numbered from 1")
	case s.output != "" && !s.raw && !attachment:
		return usagef(cmd.CommandPath(), "--output needs --raw or --attachment")
	case (s.raw || attachment) && s.output == "" && isTerminal(p.stdout):
		return mail.WithHint(mail.Errorf(mail.Invalid, "raw bytes of a mail are not written to a terminal"),
			"redirect them, or name a file with --output")
	}
	return p.withClient(cmd, func(ctx context.Context, _ *configs.Config, cl client) error {
		switch {
		case s.raw:
			return p.showRaw(ctx, cl, id, s.output)
		case attachment:
			return p.showAttachment(ctx, cl, id, s.attachment, s.output)
		}
		return p.showMessage(ctx, cl, id, s)
	})
}

func (p *program) showRaw(ctx context.Context, cl client, id mail.ID, output string) error {
	raw, err := cl.Raw(ctx, id)
	if err != nil {
		return err
	}
	err = p.writeTo(output, io.NewSectionReader(raw, 0, raw.Size()))
	if errClose := raw.Close(); err == nil {
		err = errClose
	}
	return err
}

func (p *program) showAttachment(ctx context.Context, cl client, id mail.ID, n int, output string) error {
	name, content, err := cl.Attachment(ctx, id, n)
	if err != nil {
		return err
	}
	if c, ok := content.(io.Closer); ok {
		defer c.Close()
	}
	if output == "" && name != "" {
		printLine(p.stderr, fmt.Sprintf("mailkeep: attachment %d of %s: %s", n, id, name))
	}
	return p.writeTo(output, content)
}

// writeTo copies to standard output, or to a new file. A file that exists is
// never replaced, and one that could not be written whole is removed.
func (p *program) writeTo(output string, r io.Reader) error {
	if output == "" || output == "-" {
		_, err := io.Copy(p.stdout, r)
		return err
	}
	f, err := os.OpenFile(output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return mail.WithHint(mail.Errorf(mail.Invalid, "%s exists already", output), "choose another name; nothing is overwritten")
	}
	if err != nil {
		return fmt.Errorf("write the file: %w", err)
	}
	_, err = io.Copy(f, r)
	if errClose := f.Close(); err == nil {
		err = errClose
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write the file: %w", err), os.Remove(output))
	}
	return nil
}

// A shown is the JSON form of show.
type shown struct {
	ID      mail.ID       `json:"id"`
	Kind    string        `json:"kind"`
	Sealed  string        `json:"sealed"`
	Segment uint32        `json:"segment"`
	Of      *mail.ID      `json:"of,omitempty"` // of a reference: the record that holds the bytes
	Capture mail.Delivery `json:"delivery"`
	Message *mail.Message `json:"message"`
	// Copies are set where the message has an envelope.
	Copies *app.Copies `json:"copies,omitempty"`
}

func (p *program) showMessage(ctx context.Context, cl client, id mail.ID, s showing) error {
	rec, m, err := cl.Message(ctx, id)
	if err != nil {
		return err
	}
	var copies *app.Copies
	if m.Envelope != nil { // others may tell of recipients that this one does not
		c, err := cl.Copies(ctx, id, m)
		if err != nil {
			printLine(p.stderr, "mailkeep: warning: other reports about this message were not looked for: "+err.Error())
		}
		copies = &c
	}
	if !s.asJSON {
		return renderMessage(p.stdout, rec, m, copies, s.headers, p.style())
	}
	out := shown{ID: rec.ID, Kind: rec.Kind.String(), Sealed: rec.Time.UTC().Format("2006-01-02T15:04:05.999999999Z"),
		Segment: rec.Segment, Capture: rec.Delivery, Message: m, Copies: copies}
	if rec.Kind == mail.KindReference {
		out.Of = &rec.Of
	}
	return printJSON(p.stdout, out)
}

// attachments is the list that --attachment counts.
func attachments(m *mail.Message) []mail.Part { return app.Attachments(m) }
