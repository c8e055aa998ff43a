package pop3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// A Want is a message to retrieve.
type Want struct {
	Number int
	Size   int64 // as LIST announced; -1 if unknown
}

// A Window bounds what is outstanding.
type Window struct {
	Count int // RETRs sent and not answered; from 1 to 200
	// Most is what Count may grow to: it doubles with each window that was
	// answered within a second, and is halved after one that took four. Where the
	// server or the link is slow, more outstanding gains nothing, and all of it
	// must be read before the session can end. 0, and less than Count, is no growth.
	Most       int
	Octets     int64 // LIST octets of them; one message may always be outstanding
	MaxMessage int64 // octets of one message; 0 for no limit
}

// A Retrieved is the outcome of one RETR: confirmed bytes, or an error.
type Retrieved struct {
	number    int
	fp        mail.Fingerprint
	announced int64
	lines     int64
	bareLF    int64
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
func (r Retrieved) BareLF() int64 { return r.bareLF }

// Lines counts the LFs.
func (r Retrieved) Lines() int64 { return r.lines }

// Err is why there is no message, or nil.
func (r Retrieved) Err() error { return r.err }

// Retrieve fetches messages in the order of wants. The body of each is streamed
// into the writer that sink returns for its number, octet by octet as it is once
// dot-stuffing is taken off. got is called in the same order, once for each
// message that is confirmed or was refused by the server, by sink or by the
// writer (Retrieved.Err).
//
// RETRs are sent ahead within the window where the server allows it. An error
// of got stops the run: no more is sent, what is outstanding is read and thrown
// away, and that error is returned with the session in order; but if it would
// take more than Limits.Discard octets, the connection is closed. Any other
// error means that the session has ended: what was not confirmed, the message
// received last included, is dropped, and got is not called for it. ErrTooLarge
// is such an error, about the first message that got was not called for.
func (t *Transaction) Retrieve(ctx context.Context, wants []Want, window Window,
	sink func(n int) (io.Writer, error), got func(Retrieved) error) (err error) {
	end, err := t.c.begin(ctx, "RETR")
	if err != nil {
		return err
	}
	defer end(&err)
	window.Count = min(max(window.Count, 1), maxOutstanding)
	window.Most = min(max(window.Count, window.Most), maxOutstanding)
	if !t.c.pipelining() {
		window.Count, window.Most = 1, 1
	}
	if err := t.c.quiet("RETR"); err != nil {
		return err
	}
	r := retrieval{t: t, c: t.c, wants: wants, window: window, sink: sink, got: got, since: time.Now(), out: startSender(t.c.wire)}
	defer func() {
		r.out.stop()
		t.window = r.window.Count
	}()
	return r.run()
}

// Window returns the count to which the window of the last Retrieve had grown at
// its end; 0 before the first.
func (t *Transaction) Window() int { return t.window }

// A retrieval is one run of Retrieve.
type retrieval struct {
	t      *Transaction
	c      *conn
	wants  []Want
	window Window
	sink   func(n int) (io.Writer, error)
	got    func(Retrieved) error
	out    *sender

	sent, answered int
	grown          int        // answered since the window was last looked at
	since          time.Time  // when that was
	octets         int64      // LIST octets outstanding
	noop           bool       // the NOOP behind the last RETR is sent
	last           *Retrieved // received and not yet confirmed
	stopped        error      // what got returned
	discarded      int64      // octets read since
}

func (r *retrieval) run() error {
	for {
		if err := r.fill(); err != nil {
			return err
		}
		if r.answered == r.sent {
			return r.finish()
		}
		st, err := r.c.status("RETR", r.c.timeouts.Retrieve)
		if err != nil {
			return r.broken(err)
		}
		r.confirm()
		if err := r.answer(st); err != nil {
			return r.broken(err)
		}
	}
}

// broken returns why the session ended, and with it why the run was stopped.
func (r *retrieval) broken(err error) error {
	if r.stopped != nil {
		return errors.Join(err, r.stopped)
	}
	return err
}

// fill sends RETRs when a good part of the window is free, so that they share
// packets. The last ones take along the NOOP that confirms the last message.
func (r *retrieval) fill() error {
	outstanding := r.sent - r.answered
	if outstanding == 0 && !r.noop {
		if err := r.c.quiet("RETR"); err != nil {
			return r.broken(err)
		}
	}
	if outstanding > r.window.Count-max(1, r.window.Count/8) {
		return nil
	}
	var batch []byte
	for r.stopped == nil && r.sent < len(r.wants) && r.fits(r.wants[r.sent]) {
		w := r.wants[r.sent]
		batch = append(strconv.AppendInt(append(batch, "RETR "...), int64(w.Number), 10), "\r\n"...)
		r.octets += max(w.Size, 0)
		r.sent++
	}
	if len(batch) > 0 && r.sent == len(r.wants) && r.window.Count > 1 {
		batch = append(batch, "NOOP\r\n"...)
		r.noop = true
	}
	if len(batch) > 0 {
		r.out.send(batch)
	}
	return nil
}

// fits reports whether the window has room for another message.
func (r *retrieval) fits(w Want) bool {
	n := r.sent - r.answered
	return n == 0 || n < r.window.Count && (r.window.Octets <= 0 || r.octets+max(w.Size, 0) <= r.window.Octets)
}

// finish confirms the last message.
func (r *retrieval) finish() error {
	if r.last == nil && !r.noop && r.discarded == 0 {
		return r.stopped
	}
	if !r.noop {
		r.out.send([]byte("NOOP\r\n"))
	}
	// -ERR to NOOP is a status line as good as another.
	if _, err := r.c.status("NOOP", r.c.timeouts.Command); err != nil {
		return r.broken(err)
	}
	if err := r.c.quiet("NOOP"); err != nil {
		return r.broken(err)
	}
	r.confirm()
	return r.stopped
}

// confirm hands out the message behind which a status line has come.
func (r *retrieval) confirm() {
	if m := r.last; m != nil {
		r.last = nil
		r.adapt()
		r.deliver(*m)
	}
}

const (
	quickWindow = time.Second
	slowWindow  = 4 * time.Second
)

// adapt sets the window anew after each one that was answered.
func (r *retrieval) adapt() {
	if r.grown++; r.grown < r.window.Count {
		return
	}
	now := time.Now()
	switch took := now.Sub(r.since); {
	case took <= quickWindow:
		r.window.Count = min(2*r.window.Count, r.window.Most)
	case took >= slowWindow:
		r.window.Count = max(r.window.Count/2, min(2, r.window.Count))
	}
	r.grown, r.since = 0, now
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
	m := Retrieved{number: want.Number, announced: -1, of: r.t}
	switch {
	case !st.ok:
		m.err = r.c.refusal("RETR", st, Message)
		r.deliver(m)
		return nil
	case r.stopped != nil:
		return r.discard()
	}
	m.announced = st.announced()
	if err := r.sameForm(st); err != nil {
		return err
	}
	return r.receive(m)
}

// sameForm looks at whether the answer to RETR tells a size, as the answers of
// one server do always or never. In a pipeline a stray status line would pass for
// an answer, and what follows be taken for another message than it is; without
// one there are no octets for it to hide among, so there any form will do.
func (r *retrieval) sameForm(st status) error {
	form := "without a size"
	if st.announced() >= 0 {
		form = "with a size"
	}
	if r.window.Count > 1 && r.t.form != "" && r.t.form != form {
		return r.c.fail("RETR", Protocol, fmt.Errorf("%w: an answer %s behind others %s", ErrDesync, form, r.t.form))
	}
	r.t.form = form
	return nil
}

// glued reports whether a body in a pipeline may have swallowed the next answer:
// where a server leaves out the CR LF before the terminator, a body ends with that
// of the next message, and looks as sound as any. Alone, it has no end. Where LIST
// tells no sizes there is nothing to tell it by.
func (r *retrieval) glued(octets int64) bool {
	if r.answered >= r.sent {
		return false
	}
	this, next := r.wants[r.answered-1].Size, r.wants[r.answered].Size
	return this > 0 && next > 0 && octets-this >= next+int64(len(".\r\n+OK\r\n"))
}

// receive streams a body to its writer. What that does to the writer is known
// only when the body is confirmed, so its failure waits for that too.
func (r *retrieval) receive(m Retrieved) error {
	w, err := r.sink(m.number)
	if err != nil {
		w = io.Discard
	}
	f := mail.NewFingerprinter()
	body := &r.c.body
	r.c.wire.stream()
	switch failed := body.copy(f, w, r.window.MaxMessage); {
	case errors.Is(failed, ErrTooLarge):
		return r.c.fail("RETR", Message, fmt.Errorf("message %d: %w of %d octets", m.number, ErrTooLarge, r.window.MaxMessage))
	case failed != nil:
		return r.c.failIO("RETR", failed)
	}
	if r.glued(body.octets) {
		return r.c.fail("RETR", Protocol, fmt.Errorf("%w: message %d is as long as it and the next one, with the answer between them", ErrDesync, m.number))
	}
	if err == nil {
		err = body.writeErr
	}
	if m.err = err; err == nil {
		m.fp, m.lines, m.bareLF = f.Sum(), body.lines, body.bareLF
	}
	r.last = &m
	return nil
}

// discard reads a body that nobody wants any more, to get back in step.
func (r *retrieval) discard() error {
	r.c.wire.stream()
	err := r.c.body.copy(io.Discard, io.Discard, r.c.limits.Discard-r.discarded)
	r.discarded += r.c.body.octets
	switch {
	case errors.Is(err, ErrTooLarge) || r.discarded >= r.c.limits.Discard:
		return r.c.fail("RETR", Temp, fmt.Errorf("over %d octets to discard", r.c.limits.Discard))
	case err != nil:
		return r.c.failIO("RETR", err)
	}
	return nil
}
