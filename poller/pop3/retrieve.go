package pop3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/mailkeep/mailkeep/mail"
)

// A Want is a message to retrieve.
type Want struct {
	Number int
	Size   int64 // as LIST announced; -1 if unknown
}

// A Window bounds what is outstanding.
type Window struct {
	Count      int   // RETRs sent and not answered
	Octets     int64 // LIST octets of them; one message may always be outstanding
	MaxMessage int64 // octets of one message; 0 for no limit
}

// A Retrieved is the outcome of one RETR: confirmed bytes, or an error.
type Retrieved struct {
	number    int
	fp        mail.Fingerprint
	announced int64
	counts    counts
	err       error
	of        *Transaction
}

// Number is the message's number in this session.
func (r Retrieved) Number() int { return r.number }

// Fingerprint identifies the octets delivered; zero if Err is not nil.
func (r Retrieved) Fingerprint() mail.Fingerprint { return r.fp }

// Announced is n of `+OK n octets`, or -1.
func (r Retrieved) Announced() int64 { return r.announced }

// BareLF counts the LFs that no CR precedes.
func (r Retrieved) BareLF() int64 { return r.counts.bareLF }

// Lines counts the LFs.
func (r Retrieved) Lines() int64 { return r.counts.lines }

// Err is why there is no message, or nil.
func (r Retrieved) Err() error { return r.err }

// Retrieve fetches messages in order. Each body is streamed into the writer
// that sink returns for its number, dots taken off and otherwise byte for byte.
// got is called in order, once for each message that is confirmed, or that the
// server or the writer refused (Retrieved.Err).
//
// RETRs are sent ahead within the window where the server allows it. An error
// of got stops the run: no more is sent, what is outstanding is read and thrown
// away, and the error comes back; if that would be more than Limits.Discard,
// the connection is closed. Any other error means that the session is broken:
// what was not confirmed, the last message received included, is dropped.
func (t *Transaction) Retrieve(ctx context.Context, wants []Want, window Window,
	sink func(n int) (io.Writer, error), got func(Retrieved) error) error {
	end, err := t.c.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	if !t.pipelining {
		window.Count = 1
	}
	r := retrieval{t: t, wants: wants, window: window, sink: sink, got: got}
	return r.run()
}

// A retrieval is one run of Retrieve.
type retrieval struct {
	t      *Transaction
	wants  []Want
	window Window
	sink   func(n int) (io.Writer, error)
	got    func(Retrieved) error

	sent, answered int
	octets         int64      // LIST octets outstanding
	last           *Retrieved // received and not yet confirmed
	stopped        error      // what got returned
}

func (r *retrieval) run() error {
	c := r.t.c
	if err := c.quiet("RETR"); err != nil {
		return err
	}
	for r.answered < len(r.wants) && (r.stopped == nil || r.answered < r.sent) {
		if err := r.fill(); err != nil {
			return err
		}
		c.expect(c.t.Retrieve)
		st, err := c.status("RETR")
		if err != nil {
			return err
		}
		r.confirm()
		if err := r.answer(st); err != nil {
			return err
		}
	}
	if r.last != nil {
		if st, err := c.ask(c.t.Command, "NOOP"); err != nil {
			return err
		} else if !st.ok {
			c.log.Debug("NOOP was refused; it is an answer all the same")
		}
		r.confirm()
	}
	return r.stopped
}

// fill sends as many RETRs as the window has room for, in one write.
func (r *retrieval) fill() error {
	var batch []byte
	for r.stopped == nil && r.sent < len(r.wants) && r.room(r.wants[r.sent]) && len(batch) < 4<<10-32 {
		b, err := command("RETR", strconv.Itoa(r.wants[r.sent].Number))
		if err != nil {
			return err
		}
		batch = append(batch, b...)
		r.octets += max(r.wants[r.sent].Size, 0)
		r.sent++
		r.t.c.outstanding++
	}
	if len(batch) > 0 {
		r.t.c.out.send(batch)
	}
	return nil
}

func (r *retrieval) room(w Want) bool {
	n := r.sent - r.answered
	return n == 0 || n < r.window.Count && (r.window.Octets <= 0 || r.octets+max(w.Size, 0) <= r.window.Octets)
}

// confirm hands out the message behind which a status line has come.
func (r *retrieval) confirm() {
	if r.last == nil {
		return
	}
	m := *r.last
	r.last = nil
	r.deliver(m)
}

func (r *retrieval) deliver(m Retrieved) {
	if r.stopped == nil {
		r.stopped = r.got(m)
	}
}

// answer takes the answer to the oldest RETR, whose status line is st.
func (r *retrieval) answer(st status) error {
	want := r.wants[r.answered]
	r.answered++
	r.octets -= max(want.Size, 0)
	m := Retrieved{number: want.Number, announced: announced(st.text), of: r.t}
	if !st.ok {
		m.announced, m.err = -1, r.t.c.declined("RETR", st, Message)
		r.deliver(m)
		return nil
	}
	if r.stopped != nil {
		return r.discard(want)
	}
	return r.receive(m)
}

func (r *retrieval) receive(m Retrieved) error {
	c := r.t.c
	w, err := r.sink(m.number)
	if err != nil {
		w = io.Discard
	}
	f := mail.NewFingerprinter()
	t := &tee{to: w, also: f, err: err}
	c.restartFloor()
	m.counts, err = c.body(t, r.window.MaxMessage)
	c.stopFloor()
	switch {
	case errors.Is(err, ErrTooLarge):
		return c.fail("RETR", Message, fmt.Errorf("message %d: %w of %d octets", m.number, ErrTooLarge, r.window.MaxMessage))
	case err != nil:
		return c.cut("RETR", err)
	}
	if m.err = t.err; m.err == nil {
		m.fp = f.Sum()
	}
	r.last = &m
	return nil
}

// discard reads a body that nobody wants any more, to get back in step.
func (r *retrieval) discard(want Want) error {
	c := r.t.c
	if _, err := c.body(io.Discard, max(c.limits.Discard-max(want.Size, 0), 1)); err != nil {
		return errors.Join(r.stopped, c.cut("RETR", err))
	}
	return nil
}

// announced returns n of "n octets", which is the beginning of what most
// servers say (RFC 1939 section 5), or -1.
func announced(text string) int64 {
	number, rest, _ := strings.Cut(text, " ")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || !strings.HasPrefix(strings.ToLower(rest), "octet") {
		return -1
	}
	return n
}

// A tee writes to the fingerprint and, until it fails, to its writer. It never
// fails itself, so that the body is read to its end.
type tee struct {
	to   io.Writer
	also io.Writer
	err  error
}

func (t *tee) Write(p []byte) (int, error) {
	if t.err == nil {
		_, t.err = t.to.Write(p)
		t.also.Write(p) //nolint:errcheck // a Fingerprinter never fails
	}
	return len(p), nil
}

// Top returns the digest of message n's header block as TOP n 0 sends it
// (RFC 1939 section 7): that of mail.Fingerprint. A refusal is of class Message,
// and errors.Is ErrUnsupported where the server does not announce TOP.
func (t *Transaction) Top(ctx context.Context, n int) (header mail.Digest, err error) {
	c := t.c
	end, err := c.begin(ctx)
	if err != nil {
		return mail.Digest{}, err
	}
	defer end()
	st, err := c.ask(c.t.Retrieve, "TOP", strconv.Itoa(n), "0")
	if err != nil {
		return mail.Digest{}, err
	}
	if !st.ok {
		e := &Error{Op: "TOP", Class: classOf(st, Message), Code: st.code, Text: st.text}
		if t.caps.Known && !t.caps.Top {
			e.Err = ErrUnsupported
		}
		return mail.Digest{}, e
	}
	f := mail.NewFingerprinter()
	if _, err := c.body(f, c.limits.Header); err != nil {
		return mail.Digest{}, c.cut("TOP", err)
	}
	return f.Sum().Header, nil
}
