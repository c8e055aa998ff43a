package sink

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/catalog"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

// epoch is when all messages of the tests were fetched.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// A letter is a message to send into a sink.
type letter struct {
	mail.Delivery
	raw    []byte
	opens  *atomic.Int32
	handed bool // the bytes are in memory
}

func newLetter(mailbox, uidl, raw string) letter {
	return letter{
		Delivery: mail.Delivery{
			Capture: mail.Capture{
				Mailbox: mailbox, UIDL: mail.Octets(uidl), ListSize: int64(len(raw)),
				Session: "s1", Host: "pop.example.org", Fetched: epoch,
			},
			Fingerprint: mail.FingerprintOf([]byte(raw)),
		},
		raw: []byte(raw), opens: new(atomic.Int32),
	}
}

func (l letter) suspect() letter {
	l.Suspect = "short: some octets are missing"
	return l
}

func (l letter) open(context.Context) (io.ReadCloser, error) {
	l.opens.Add(1)
	return io.NopCloser(bytes.NewReader(l.raw)), nil
}

// An answer is what an Ack was given.
type answer struct {
	mail.Receipt
	err error
}

// A gate is a Log whose appends a test can count, hold up and let fail.
type gate struct {
	Log
	appends atomic.Int32
	entries atomic.Int32
	// before and after decide, per append, whether it fails without or with its
	// effect; nil never.
	mu            sync.Mutex
	before, after func(n int32) error
}

func (g *gate) set(before, after func(n int32) error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.before, g.after = before, after
}

func (g *gate) Append(ctx context.Context, batch []*ledger.Entry) ([]ledger.Sealed, error) {
	n := g.appends.Add(1)
	g.mu.Lock()
	before, after := g.before, g.after
	g.mu.Unlock()
	if before != nil {
		if err := before(n); err != nil {
			return nil, err
		}
	}
	sealed, err := g.Log.Append(ctx, batch)
	g.entries.Add(int32(len(batch)))
	if err == nil && after != nil {
		if err := after(n); err != nil {
			return nil, err
		}
	}
	return sealed, err
}

// A rig is a sink that runs on a ledger and a catalog.
type rig struct {
	t    testing.TB
	fs   durable.FS
	log  *ledger.Ledger
	gate *gate
	cat  *catalog.Catalog
	path string // of the catalog
	sink *Sink

	stop context.CancelFunc
	done chan error
}

func logger(t testing.TB) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

// newRig opens what fs and the catalog's path hold, and runs a sink on it.
func newRig(t testing.TB, fs durable.FS, path string, o Options) *rig {
	t.Helper()
	return segmentRig(t, fs, path, o, 0)
}

// segmentRig is newRig with a size of segments.
func segmentRig(t testing.TB, fs durable.FS, path string, o Options, segment int64) *rig {
	t.Helper()
	return ledgerRig(t, fs, path, o, ledger.Options{SegmentSize: segment})
}

// ledgerRig is newRig with options of the ledger.
func ledgerRig(t testing.TB, fs durable.FS, path string, o Options, lo ledger.Options) *rig {
	t.Helper()
	r := &rig{t: t, fs: fs, path: path, done: make(chan error, 1)}
	var err error
	if r.log, err = ledger.Open(fs, lo); err != nil {
		t.Fatal(err)
	}
	if r.cat, err = catalog.Open(path, catalog.Options{Logger: logger(t)}); err != nil {
		t.Fatal(err)
	}
	r.gate = &gate{Log: r.log}
	o.Log, o.Catalog, o.Logger = r.gate, r.cat, logger(t)
	if r.sink, err = New(o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	r.stop = cancel
	go func() { r.done <- r.sink.Run(ctx) }()
	t.Cleanup(r.halt)
	return r
}

func memRig(t testing.TB, o Options) *rig {
	t.Helper()
	return newRig(t, durabletest.New(), filepath.Join(t.TempDir(), "catalog.db"), o)
}

// halt ends the sink as a stop of the process does; again does nothing.
func (r *rig) halt() {
	if r.stop == nil {
		return
	}
	r.stop()
	r.stop = nil
	if err := <-r.done; err != nil {
		r.t.Errorf("Run: %v", err)
	}
	if err := r.cat.Close(); err != nil {
		r.t.Errorf("close the catalog: %v", err)
	}
	if err := r.log.Close(); err != nil {
		r.t.Logf("close the ledger: %v", err)
	}
}

// offer gives a letter to the sink and returns where its answer comes. A second
// answer is a fault.
func (r *rig) offer(l letter) <-chan answer { return r.offerFrom(l, l.open) }

func (r *rig) offerFrom(l letter, raw func(context.Context) (io.ReadCloser, error)) <-chan answer {
	r.t.Helper()
	answers := make(chan answer, 1)
	in := Inbound{Delivery: l.Delivery, Raw: raw, Ack: func(got mail.Receipt, err error) {
		select {
		case answers <- answer{got, err}:
		default:
			r.t.Errorf("%s is acknowledged twice", l.Fingerprint)
		}
	}}
	if l.handed {
		in.Bytes = l.raw
	}
	err := r.sink.Accept(r.t.Context(), in)
	if err != nil {
		answers <- answer{err: err}
	}
	return answers
}

// send offers all letters at once and returns their answers.
func (r *rig) send(letters ...letter) []answer {
	r.t.Helper()
	var waits []<-chan answer
	for _, l := range letters {
		waits = append(waits, r.offer(l))
	}
	var answers []answer
	for _, w := range waits {
		answers = append(answers, <-w)
	}
	return answers
}

// deliver sends the letters again and again, as a queue does, until each has a
// receipt.
func (r *rig) deliver(letters ...letter) []mail.Receipt {
	r.t.Helper()
	receipts := make([]mail.Receipt, len(letters))
	for try := 0; ; try++ {
		var open []letter
		var index []int
		for i, l := range letters {
			if receipts[i].SealedAt.IsZero() {
				open, index = append(open, l), append(index, i)
			}
		}
		if len(open) == 0 {
			return receipts
		}
		if try == 200 {
			r.t.Fatalf("%d letters are not sealed after %d tries: %v", len(open), try, r.sink.Healthy())
		}
		for n, a := range r.send(open...) {
			switch k := mail.KindOf(a.err); {
			case a.err == nil:
				receipts[index[n]] = a.Receipt
			case k != mail.Temporary && k != mail.NoSpace:
				r.t.Fatalf("%s is refused for good: %v", open[n].Fingerprint, a.err)
			}
		}
	}
}

func (r *rig) records() []mail.Record {
	r.t.Helper()
	var all []mail.Record
	for rec, err := range r.log.Records(r.t.Context(), 0) {
		if err != nil {
			r.t.Fatal(err)
		}
		all = append(all, rec)
	}
	return all
}

// check is the judge of all tests: each delivery is sealed once, bytes are
// stored once, references are right, and the catalog is what a fresh one makes
// of the ledger.
func (r *rig) check(letters ...letter) {
	r.t.Helper()
	deliveries, messages := make(map[delivered]int), make(map[mail.Digest]mail.ID)
	copies, sessions := make(map[copied]bool), make(map[string]bool)
	for _, rec := range r.records() {
		d := rec.Delivery
		switch rec.Kind {
		case mail.KindEvent:
			if rec.Event.Drain == nil {
				continue
			}
			if s := rec.Event.Drain.Session; sessions[s] {
				r.t.Errorf("session %s is sealed twice", s)
			}
			sessions[rec.Event.Drain.Session] = true
			continue
		case mail.KindMessage:
			if _, twice := messages[d.Digest]; twice {
				r.t.Errorf("record %s stores %s a second time", rec.ID, d.Fingerprint)
			}
			messages[d.Digest] = rec.ID
		case mail.KindReference:
			if rec.Of != messages[d.Digest] || rec.Again != copies[copied{d.Mailbox, d.Digest}] {
				r.t.Errorf("reference %s is of %s, again %t", rec.ID, rec.Of, rec.Again)
			}
		}
		copies[copied{d.Mailbox, d.Digest}] = true
		if deliveries[deliveredOf(d)]++; deliveries[deliveredOf(d)] > 1 {
			r.t.Errorf("record %s seals %+v a second time", rec.ID, deliveredOf(d))
		}
	}
	for _, l := range letters {
		if deliveries[deliveredOf(l.Delivery)] != 1 {
			r.t.Errorf("%+v is sealed %d times", deliveredOf(l.Delivery), deliveries[deliveredOf(l.Delivery)])
		}
	}
	r.checkCatalog()
}

func (r *rig) checkCatalog() {
	r.t.Helper()
	fresh, err := catalog.Open(filepath.Join(r.t.TempDir(), "fresh.db"), catalog.Options{})
	if err != nil {
		r.t.Fatal(err)
	}
	defer fresh.Close()
	if err := fresh.Apply(r.records()); err != nil {
		r.t.Fatal(err)
	}
	want, err := fresh.Summary()
	if err != nil {
		r.t.Fatal(err)
	}
	got, err := r.cat.Summary()
	if err != nil {
		r.t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		r.t.Errorf("the catalog is not what the ledger says (-ledger +catalog):\n%s", diff)
	}
}

// readable compares the bytes of each receipt's record with the letter's.
func (r *rig) readable(receipts []mail.Receipt, letters []letter) {
	r.t.Helper()
	for i, receipt := range receipts {
		if err := receipt.Covers(letters[i].Mailbox, letters[i].Fingerprint); err != nil && letters[i].Suspect == "" {
			r.t.Errorf("receipt %d: %v", i, err)
		}
		raw, err := r.log.Raw(r.t.Context(), receipt.ID)
		if err != nil {
			r.t.Errorf("read %s: %v", receipt.ID, err)
			continue
		}
		got, err := io.ReadAll(io.NewSectionReader(raw, 0, raw.Size()))
		if err != nil || !bytes.Equal(got, letters[i].raw) {
			r.t.Errorf("record %s holds %d octets (%v), not the letter", receipt.ID, len(got), err)
		}
		if err := raw.Close(); err != nil {
			r.t.Error(err)
		}
	}
}

// mixed makes n letters with duplicates across mailboxes, UIDLs and suspicion.
func mixed(n int) []letter {
	var letters []letter
	for i := range n {
		mailbox := fmt.Sprintf("box%d@example.org", i%3)
		uidl := fmt.Sprint("u", i/4)
		if i%7 == 0 {
			uidl = ""
		}
		l := newLetter(mailbox, uidl, fmt.Sprintf("Subject: %d\r\n\r\nbody %d\r\n", i%(n/2+1), i%(n/2+1)))
		if i%5 == 0 {
			l = l.suspect()
		}
		letters = append(letters, l)
	}
	return letters
}

func diskFS(t testing.TB) durable.FS {
	t.Helper()
	fs, err := durable.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fs.Close(); err != nil {
			t.Error(err)
		}
	})
	return fs
}

// rot overwrites the pages of an open catalog, as a failing disk does.
func rot(t testing.TB, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	for off := int64(2 * 4096); off < info.Size(); off += 4096 {
		if _, err := f.WriteAt([]byte{0xde, 0xad, 0xbe, 0xef}, off+8); err != nil {
			t.Fatal(err)
		}
	}
}
