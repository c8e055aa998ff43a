package poller

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3"
)

// errHalt ends a run of RETRs while the connection is sound. The reason is in
// session.trouble, or is a budget.
var errHalt = errors.New("stop fetching")

// archiveWait bounds each call to the archive, so that a server is not kept
// waiting for one that has fallen silent.
const archiveWait = time.Minute

// maxRefusals is how many -ERR in a row mean that the mailbox, and not each of
// these messages, is the trouble: download quotas look like that.
const maxRefusals = 5

// fetch retrieves what the plan has, in chunks: budgets are best kept between
// them, where nothing is outstanding.
// An error means that the connection is closed. receiving is the context of the
// receipts.
func (s *session) fetch(ctx, receiving context.Context) error {
	s.enter(PhaseFetch)
	todo := s.plan.fetch
	for len(todo) > 0 && s.mayFetch() {
		n := min(len(todo), s.chunk())
		err := s.retrieve(ctx, receiving, todo[:n])
		if errors.Is(err, errHalt) {
			todo = todo[n:]
			break
		}
		if err != nil {
			if ctx.Err() == nil {
				s.blame(todo[:n], err)
			}
			return err
		}
		todo = todo[n:]
		s.widen()
	}
	s.plan.left += len(todo)
	return nil
}

// chunk is the number of messages of one run of RETRs. Where the server deletes
// what is retrieved, a run is no longer than the window, so that a halt leaves
// nothing retrieved and dropped.
func (s *session) chunk() int {
	if s.consuming {
		return s.window
	}
	return 32 * s.mostWindow
}

// widen lets the window grow after a chunk, where it has not grown in it.
func (s *session) widen() {
	if s.consuming {
		s.window = min(2*s.window, s.mostWindow)
		return
	}
	s.window = s.tx.Window()
}

// mayFetch reports whether time and the archive allow another message.
func (s *session) mayFetch() bool {
	return s.trouble == nil && !s.stopping() && !s.pace.yields() && time.Now().Before(s.fetchUntil)
}

// retrieve fetches one chunk and aborts the transfers that it leaves open.
func (s *session) retrieve(ctx, receiving context.Context, chunk []*message) error {
	wants := make([]pop3.Want, len(chunk))
	for i, m := range chunk {
		wants[i] = pop3.Want{Number: m.number, Size: m.size}
		m.sent = true
	}
	window := pop3.Window{Count: s.window, Most: s.mostWindow, Octets: s.m.WindowOctets, MaxMessage: s.m.MaxMessage}
	if s.consuming {
		window.Most = window.Count
	}
	err := s.tx.Retrieve(ctx, wants, window,
		func(n int) (io.Writer, error) { return s.sink(receiving, n) },
		func(r pop3.Retrieved) error { return s.received(ctx, receiving, r) })
	for _, m := range chunk {
		m.abort()
	}
	return err
}

// abort drops the transfer of a message that was not committed.
func (m *message) abort() {
	if m.transfer != nil {
		m.transfer.Abort()
		m.transfer = nil
	}
}

// A tap passes a body on to its transfer and remembers a failure, which the
// protocol client reports like one of the server's.
type tap struct{ m *message }

func (t tap) Write(p []byte) (int, error) {
	if t.m.shape != nil {
		t.m.shape.Write(p)
	}
	n, err := t.m.transfer.Write(p)
	if err != nil {
		t.m.writeErr = err
	}
	return n, err
}

// sink starts the transfer of message n; ctx lives until its receipt is here.
func (s *session) sink(ctx context.Context, n int) (io.Writer, error) {
	m := s.byNumber[n]
	t, err := s.d.Archive.Begin(ctx, s.m.Name, m.size)
	if err != nil {
		m.writeErr = err
		return nil, err
	}
	m.transfer = t
	if s.m.Sizes == SizesUnreliable || s.st.Sizes.Profile == unreliable {
		m.shape = new(structure)
	}
	return tap{m}, nil
}

// received takes one confirmed message, or the reason why there is none.
func (s *session) received(ctx, receiving context.Context, r pop3.Retrieved) error {
	m := s.byNumber[r.Number()]
	switch {
	case m.writeErr != nil:
		m.abort()
		s.rejected(m, m.writeErr)
	case r.Err() != nil:
		m.abort()
		s.declined(m, r.Err())
	default:
		s.refusals = s.confirmRefusals()
		m.got = r
		s.commit(ctx, receiving, m)
	}
	s.poll()
	for s.trouble == nil && s.pending.full() {
		s.waitForRoom(ctx)
	}
	s.progress()
	if !s.mayFetch() {
		return errHalt
	}
	return nil
}

// commit hands a confirmed message over to the archive; settle learns what came
// of it.
func (s *session) commit(ctx, receiving context.Context, m *message) {
	fp := m.got.Fingerprint()
	size := measure{octets: fp.Size, lines: m.got.Lines(), listed: m.size, announced: m.got.Announced()}
	m.suspect = s.st.Sizes.short(s.m.Sizes, size, m.shape != nil && m.shape.broken())
	if s.st.Sizes.learn(size) {
		s.relearn(ctx)
	}
	d := mail.Delivery{Fingerprint: fp, Capture: mail.Capture{
		Mailbox: s.m.Name, UIDL: mail.Octets(m.uidl), ListSize: m.size, Session: s.report.Session,
		Host: s.m.Host, TLS: s.report.TLS, Worker: s.d.Worker, Fetched: time.Now(), Suspect: m.suspect,
	}}
	t := m.transfer
	m.transfer = nil
	m.fetched = true
	s.report.Fetched++
	s.octets += fp.Size
	s.pending.add(receiving, m, t, d)
}

// unfetched takes back a message that could not be handed over.
func (s *session) unfetched(m *message) {
	m.fetched = false
	s.report.Fetched--
	s.octets -= m.got.Fingerprint().Size
}

// relearn lets rows that were short by an older reading of the sizes be tried.
func (s *session) relearn(ctx context.Context) {
	level := slog.LevelInfo
	if s.st.Sizes.Profile == exact {
		level = slog.LevelDebug // as it should be
	}
	s.log.LogAttrs(ctx, level, "learnt what the server's sizes mean", slog.String("profile", string(s.st.Sizes.Profile)))
	for i := range s.st.Rows {
		if s.st.Rows[i].Trouble == short {
			s.st.Rows[i].Next = time.Time{}
		}
	}
}

// rejected handles a message that the archive did not take: one message's
// trouble, or the archive's.
func (s *session) rejected(m *message, err error) {
	m.end(mail.FateUnsealed, "archive: "+err.Error())
	switch mail.KindOf(err) {
	case mail.Invalid, mail.Corrupt:
		m.fate = mail.FateRefused
		s.st.strike(m.key(), refused, time.Now())
		s.log.Error("the archive refuses a message", slog.Int("number", m.number), slog.Any("error", err))
	default:
		// There may be room for the others where there is none for this one, so
		// they come first in the next session.
		s.st.strike(m.key(), deferred, time.Now())
		s.archiveTrouble(mail.Errorf(mail.KindOf(err), "hand a message to the archive: %w", err))
	}
}

// archiveTrouble stops fetching because of the archive; the first reason stays.
func (s *session) archiveTrouble(err error) {
	if s.trouble == nil {
		s.trouble = failed(OutcomeArchive, err)
	}
}

// declined handles -ERR in answer to RETR.
func (s *session) declined(m *message, err error) {
	m.refusal = true
	m.end(mail.FatePoison, err.Error())
	s.refusals = append(s.refusals, m)
	e, _ := errors.AsType[*pop3.Error](err)
	general := e != nil && (e.Class == pop3.Rate || e.Class == pop3.Busy || strings.HasPrefix(e.Code, "SYS/"))
	if !general && len(s.refusals) < maxRefusals {
		return
	}
	for _, m := range s.refusals {
		s.deferRow(m)
	}
	s.refusals = nil
	if s.trouble == nil {
		s.trouble = failed(OutcomeRate, err)
	}
}

// deferRow records a refusal that may be the whole mailbox's. If others were
// fetched in this session and this one had been put behind them before, it is
// the message after all.
func (s *session) deferRow(m *message) {
	r := s.st.at(m.key())
	if s.report.Fetched > 0 && (r.Trouble == deferred || r.Trouble == poison) {
		s.st.strike(m.key(), poison, time.Now())
		return
	}
	s.st.strike(m.key(), deferred, time.Now())
}

// confirmRefusals strikes the messages that were refused one by one: that
// another was handed out since shows that it is they.
func (s *session) confirmRefusals() []*message {
	for _, m := range s.refusals {
		s.st.strike(m.key(), poison, time.Now())
	}
	return nil
}

// blame records the message in which the session broke off: the first that was
// not confirmed.
func (s *session) blame(chunk []*message, err error) {
	for _, m := range chunk {
		if m.fetched || m.refusal || m.why != "" {
			continue
		}
		why := cut
		if errors.Is(err, pop3.ErrTooLarge) {
			why = oversize
		}
		s.st.strike(m.key(), why, time.Now())
		m.end(fates[why], err.Error())
		return
	}
}
