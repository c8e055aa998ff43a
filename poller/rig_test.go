package poller

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/poller/pop3"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

const secret = "open-sesame-7391"

// A rig is one mailbox on a scripted server, and all that drains it.
type rig struct {
	t         *testing.T
	srv       *pop3test.Server
	box       *pop3test.Mailbox
	arc       *archive
	leases    *leases
	store     *store
	logs      *logs
	d         *Drainer
	m         Mailbox
	originals [][]byte
	conns     sync.WaitGroup
	// strict checks at each DELE that the message is sealed. It needs numbers
	// that follow from Mailbox.Left.
	strict bool
}

// newRig makes a mailbox with the messages given. Call it inside a bubble.
func newRig(t *testing.T, raw ...string) *rig {
	r := &rig{
		t: t, box: &pop3test.Mailbox{Password: secret}, arc: newArchive(t), leases: &leases{t: t}, store: new(store),
		logs: new(logs), strict: true,
	}
	r.srv = &pop3test.Server{Mailboxes: map[string]*pop3test.Mailbox{"ann": r.box}}
	r.hooks(pop3test.Hooks{})
	r.deliver(pop3test.Messages(raw...)...)
	r.d = &Drainer{
		Archive: r.arc, Leaser: r.leases, Store: r.store, Worker: "w1", Sessions: 1,
		stretcher: stretcher{rounds: fewRounds}, Uptime: processClock(),
		Logger: slog.New(slog.NewTextHandler(r.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	r.m = Mailbox{
		Name: "ann@example.org", Host: "pop.example.org:110", User: "ann", Security: pop3.Plain, DialContext: r.dial,
		Password: func(context.Context) (string, error) { return secret, nil },
	}
	return r
}

// deliver adds messages to the mailbox.
func (r *rig) deliver(ms ...pop3test.Message) {
	r.box.Add(ms...)
	for _, m := range ms {
		r.originals = append(r.originals, onWire(m.Raw))
	}
}

// onWire is raw as a client gets it.
func onWire(raw []byte) []byte {
	if len(raw) > 0 && !bytes.HasSuffix(raw, []byte("\r\n")) {
		return append(slices.Clone(raw), "\r\n"...)
	}
	return raw
}

// hooks sets the faults of the sessions to come, with the check of each DELE.
func (r *rig) hooks(h pop3test.Hooks) {
	inner := h.OnCommand
	h.OnCommand = func(c pop3test.Command) *pop3test.Action {
		if c.Verb == "DELE" && r.strict {
			r.checkDele(c)
		}
		if c.Verb == "RSET" {
			r.t.Error("RSET was sent")
		}
		if inner == nil {
			return nil
		}
		return inner(c)
	}
	r.srv.SetHooks(h)
}

// checkDele is oracle O2: DELE n only after the seal of n.
func (r *rig) checkDele(c pop3test.Command) {
	n, err := strconv.Atoi(c.Arg)
	left := r.box.Left()
	if err != nil || n < 1 || n > len(left) {
		r.t.Errorf("DELE %s of %d messages", c.Arg, len(left))
		return
	}
	if !r.arc.has(r.m.Name, onWire(left[n-1].Raw)) {
		r.t.Errorf("session %d: DELE %d before its seal", c.Session, n)
	}
}

func (r *rig) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	client, server := net.Pipe()
	r.conns.Go(func() { r.srv.ServeConn(context.WithoutCancel(ctx), server) })
	return client, nil
}

// drain holds one drain and waits until the server has let go.
func (r *rig) drain() Result {
	r.t.Helper()
	res, err := r.d.Drain(r.t.Context(), r.m)
	if err != res.Err || OutcomeOf(err) != res.Outcome {
		r.t.Errorf("error %v, result %v %v", err, res.Outcome, res.Err)
	}
	r.conns.Wait()
	r.check()
	checkBroken(r.t, r.srv, res.Outcome)
	return res
}

// drainOK is a drain that must succeed.
func (r *rig) drainOK() Result {
	r.t.Helper()
	res := r.drain()
	if res.Err != nil {
		r.t.Errorf("drain: %v", res.Err)
	}
	return res
}

// settle drains with pauses, at most n times, until the mailbox is empty but for
// keep messages (O5).
func (r *rig) settle(n, keep int) {
	r.t.Helper()
	for range n {
		if len(r.box.Left()) == keep {
			return
		}
		r.drain()
		elapse(20 * time.Minute)
	}
	if left := len(r.box.Left()); left != keep {
		r.t.Errorf("after %d sessions %d messages are left, want %d\n%s", n, left, keep, r.logs)
	}
}

// elapse lets the time of the bubble pass.
//
// A timer that is due already is not waited for: go 1.26 under the race detector
// was seen to crash in runtime.(*timer).maybeRunChan for one.
func elapse(d time.Duration) {
	if d > 0 {
		<-time.After(d)
	}
}

// count returns how many commands of the verb the server saw, in one session or
// (0) in all.
func (r *rig) count(verb string, session int) int {
	n := 0
	for _, c := range r.srv.Commands() {
		if c.Verb == verb && (session == 0 || c.Session == session) {
			n++
		}
	}
	return n
}

// expect compares counts.
func expect[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// state returns the mailbox's state as stored.
func (r *rig) state() *state {
	st, ok := parseState(r.store.data[r.m.Name])
	if !ok {
		r.t.Error("the stored state is unreadable")
	}
	return st
}

// trouble returns the record of a row by its UIDL.
func (r *rig) trouble(uidl string) row {
	for _, row := range r.state().Rows {
		if string(row.UIDL) == uidl {
			return row
		}
	}
	return row{}
}

// letter makes a message of about size octets.
func letter(subject string, size int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "From: ann@example.org\r\nSubject: %s\r\n\r\n", subject)
	for b.Len() < size {
		b.WriteString("The quick brown fox jumps over the lazy dog.\r\n")
	}
	return b.String()
}

// letters makes n of them.
func letters(n int) []string {
	ls := make([]string, n)
	for i := range ls {
		ls[i] = letter(fmt.Sprintf("letter %d", i+1), 100+37*i%400)
	}
	return ls
}
