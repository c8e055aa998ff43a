package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller"
	"github.com/mailkeep/mailkeep/poller/pop3"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
	"github.com/mailkeep/mailkeep/sink"
	"github.com/mailkeep/mailkeep/sink/catalog"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

// TestK16PowerCut lets the power of the archive's machine fail at each operation
// on the ledger's files, while a poller drains into it and lives on: what was not
// synced is lost in whole or in part, and so are catalog, queue and states. What
// the poller has deleted is there when the power comes back, and the rest drains.
func TestK16PowerCut(t *testing.T) {
	t.Parallel()
	dry := newOutage(t)
	dry.drain(durabletest.New())
	if n := len(dry.box.Left()); n > 0 {
		t.Fatalf("%d messages are left though nothing fails", n)
	}
	ops := dry.ops
	if ops < 15 {
		t.Fatalf("a drain has %d operations", ops)
	}
	step := 1
	if underRace {
		step = 4
	}
	for k := 0; k < ops; k += step {
		for i, keep := range []float64{0, 0.5, 1} {
			o := newOutage(t)
			fs := durabletest.New()
			fs.StopAt(k, i%2 == 0)
			o.drain(fs)
			o.restart(fs.Crash(uint64(k), keep))
			if t.Failed() {
				t.Fatalf("at operation %d of %d; of what was not synced, %v is kept", k, ops, keep)
			}
		}
	}
}

// An outage is a mailbox on a scripted server, and a poller in this process that
// drains it straight into a sink: the queue between them is taken to be lost.
type outage struct {
	t         *testing.T
	box       *pop3test.Mailbox
	srv       *pop3test.Server
	originals [][]byte
	ops       int   // of the last drain's files
	err       error // of the last drain
}

func newOutage(t *testing.T) *outage {
	o := &outage{t: t, box: &pop3test.Mailbox{Password: killSecret}}
	o.srv = &pop3test.Server{Mailboxes: map[string]*pop3test.Mailbox{"ann": o.box}}
	for i := range 8 {
		raw := fmt.Appendf(nil, "From: a@example.org\r\nSubject: outage %d\r\n\r\n%s", i, bytes.Repeat(fmt.Appendf(nil, "line %d\r\n", i), 300))
		o.box.Add(pop3test.Message{UIDL: fmt.Sprint("u", i), Raw: raw})
		o.originals = append(o.originals, raw)
	}
	return o
}

// drain holds one session that brings mail to a sink on fs, until it is done or
// fs is dead.
func (o *outage) drain(fs *durabletest.FS) {
	o.t.Helper()
	log, err := ledger.Open(fs, ledger.Options{SegmentSize: 4 << 10}) // so that segments are sealed and begun
	if err != nil {
		o.err = err // it died in it
		return
	}
	cat, err := catalog.Open(filepath.Join(o.t.TempDir(), "catalog.bolt"), catalog.Options{})
	if err != nil {
		o.t.Fatal(err)
	}
	s, err := sink.New(sink.Options{Log: log, Catalog: cat, BatchCount: 3})
	if err != nil {
		o.t.Fatal(err)
	}
	if err := s.CatchUp(o.t.Context()); err != nil {
		o.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(o.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	o.session(&sinkArchive{s, cancel})
	cancel()
	if err := <-ended; err != nil {
		o.t.Error(err)
	}
	if err := cat.Close(); err != nil {
		o.t.Error(err)
	}
	_ = log.Close() // fs may be dead
	o.ops = len(fs.Ops())
}

// session drains once; whether it succeeds is not the question.
func (o *outage) session(a poller.Archive) {
	var conns sync.WaitGroup
	d := poller.Drainer{Archive: a, Leaser: freeLeaser{}, Store: noStore{}, Sessions: 1}
	_, o.err = d.Drain(o.t.Context(), poller.Mailbox{
		Name: "ann@example.org", Host: "pop.example.org:110", User: "ann", Security: pop3.Plain,
		Password: func(context.Context) (string, error) { return killSecret, nil },
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			client, server := net.Pipe()
			conns.Go(func() { o.srv.ServeConn(context.WithoutCancel(ctx), server) })
			return client, nil
		},
	})
	conns.Wait()
}

// restart opens what the power cut has left, holds the oracles, drains the rest,
// and holds them again.
func (o *outage) restart(fs *durabletest.FS) {
	o.t.Helper()
	left := make(map[mail.Digest]bool)
	for _, m := range o.box.Left() {
		left[mail.DigestOf(m.Raw)] = true
	}
	sealed := o.sealed(fs)
	for i, raw := range o.originals {
		if d := mail.DigestOf(raw); sealed[d] == 0 && !left[d] {
			o.t.Errorf("O1: message %d is lost", i+1)
		}
	}
	o.drain(fs)
	if n := len(o.box.Left()); n > 0 {
		o.t.Errorf("O5: %d messages are left: %v", n, o.err)
	}
	sealed = o.sealed(fs)
	for i, raw := range o.originals {
		if n := sealed[mail.DigestOf(raw)]; n != 1 {
			o.t.Errorf("O4: message %d is in the ledger %d times", i+1, n)
		}
	}
	r, err := ledger.Verify(o.t.Context(), fs, ledger.VerifyOptions{})
	if err != nil || r.Damaged > 0 {
		o.t.Errorf("verify: %v, %d damages", err, r.Damaged)
	}
}

// sealed recovers the ledger and counts its messages by their bytes.
func (o *outage) sealed(fs *durabletest.FS) map[mail.Digest]int {
	o.t.Helper()
	log, err := ledger.Open(fs, ledger.Options{SegmentSize: 4 << 10})
	if err != nil {
		o.t.Fatal(err)
	}
	got := make(map[mail.Digest]int)
	for rec, err := range log.Records(o.t.Context(), 0) {
		if err != nil {
			o.t.Fatal(err)
		}
		if !rec.Searchable() {
			continue
		}
		raw, err := log.Raw(o.t.Context(), rec.ID)
		if err != nil {
			o.t.Fatal(err)
		}
		b, err := io.ReadAll(io.NewSectionReader(raw, 0, raw.Size()))
		if err := errors.Join(err, raw.Close()); err != nil {
			o.t.Fatal(err)
		}
		got[mail.DigestOf(b)]++
	}
	if err := log.Close(); err != nil {
		o.t.Fatal(err)
	}
	return got
}

// A sinkArchive hands messages straight to a sink. The first that is not sealed
// tells that the sink's machine is dead.
type sinkArchive struct {
	s    *sink.Sink
	died context.CancelFunc
}

func (a *sinkArchive) Lookup(ctx context.Context, mailbox string, rows []mail.Listing) ([]mail.Receipt, error) {
	return a.s.Lookup(ctx, mailbox, rows)
}

func (a *sinkArchive) Begin(context.Context, string, int64) (poller.Transfer, error) {
	return &sinkTransfer{a: a}, nil
}

func (a *sinkArchive) Report(ctx context.Context, _ string, e mail.Event) error {
	answer := make(chan error, 1)
	if err := a.s.AcceptEvent(ctx, e, func(_ mail.ID, err error) { answer <- err }); err != nil {
		return err
	}
	return <-answer
}

type sinkTransfer struct {
	a *sinkArchive
	b bytes.Buffer
}

func (t *sinkTransfer) Write(p []byte) (int, error) { return t.b.Write(p) }
func (t *sinkTransfer) Abort()                      {}

func (t *sinkTransfer) Commit(ctx context.Context, d mail.Delivery) (poller.Pending, error) {
	p := make(sinkPending, 1)
	open := func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(t.b.Bytes())), nil }
	err := t.a.s.Accept(ctx, sink.Inbound{Delivery: d, Raw: open, Ack: func(r mail.Receipt, err error) {
		if err != nil {
			t.a.died()
		}
		p <- sinkAnswer{r, err}
	}})
	return p, err
}

type sinkAnswer struct {
	receipt mail.Receipt
	err     error
}

type sinkPending chan sinkAnswer

func (p sinkPending) Receipt(ctx context.Context) (mail.Receipt, error) {
	select {
	case a := <-p:
		return a.receipt, a.err
	case <-ctx.Done():
		return mail.Receipt{}, ctx.Err()
	}
}

// A freeLeaser gives leases to whoever asks.
type freeLeaser struct{}

func (freeLeaser) Lease(context.Context, string) (poller.Lease, error) { return freeLease{}, nil }

type freeLease struct{}

func (freeLease) Check(context.Context) error   { return nil }
func (freeLease) Lost() <-chan struct{}         { return nil }
func (freeLease) Release(context.Context) error { return nil }

// A noStore forgets.
type noStore struct{}

func (noStore) Load(context.Context, string) ([]byte, uint64, error)         { return nil, 0, nil }
func (noStore) Save(context.Context, string, []byte, uint64) (uint64, error) { return 1, nil }
