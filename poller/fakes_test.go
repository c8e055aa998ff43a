package poller

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// A sealing is what a scripted archive does with a committed message.
type sealing struct {
	after  time.Duration // until it is sealed
	never  bool          // neither sealed nor answered
	silent bool          // sealed, but the receipt is lost
	err    error         // refused, the message is not sealed
	alter  func(*mail.Receipt)
}

// An archive is a scripted Archive. It checks what it is handed.
type archive struct {
	t  *testing.T
	mu sync.Mutex

	seq     uint64
	sealed  []mail.Receipt
	rows    map[sealedRow]mail.Receipt // newest, suspects left out
	digests map[sealedDigest]mail.Receipt
	first   map[sealedDigest]time.Time // by mailbox and digest
	uidls   map[sealedUidl]mail.Receipt

	forgotten []mail.Receipt // see forget
	bodies    map[mail.Digest][]byte
	events    []mail.Drain
	commits   int
	open      int // transfers begun and not ended

	lookup func() error
	begin  func() error
	write  func(sofar int) error
	commit func(mail.Delivery) error
	seal   func(mail.Delivery) sealing
	report func() error
}

func newArchive(t *testing.T) *archive {
	return &archive{t: t, bodies: make(map[mail.Digest][]byte), rows: make(map[sealedRow]mail.Receipt), digests: make(map[sealedDigest]mail.Receipt),
		first: make(map[sealedDigest]time.Time), uidls: make(map[sealedUidl]mail.Receipt)}
}

type sealedUidl struct {
	mailbox string
	uidl    mail.Octets
}

type sealedRow struct {
	mailbox string
	mail.Listing
}

type sealedDigest struct {
	mailbox string
	uidl    mail.Octets // "" for any
	digest  mail.Digest
	suspect string
}

func (a *archive) Lookup(_ context.Context, mailbox string, rows []mail.Listing) ([]mail.Receipt, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lookup != nil {
		if err := a.lookup(); err != nil {
			return nil, err
		}
	}
	found := make([]mail.Receipt, len(rows))
	for i, row := range rows {
		r, ok := a.rows[sealedRow{mailbox, row}]
		if !ok {
			r = a.uidls[sealedUidl{mailbox, row.UIDL}]
		}
		found[i] = r
	}
	return found, nil
}

func (a *archive) Begin(context.Context, string, int64) (Transfer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.begin != nil {
		if err := a.begin(); err != nil {
			return nil, err
		}
	}
	a.open++
	return &transfer{a: a}, nil
}

func (a *archive) Report(_ context.Context, mailbox string, e mail.Event) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.report != nil {
		if err := a.report(); err != nil {
			return err
		}
	}
	if e.Type != mail.EventDrain || e.Drain.Mailbox != mailbox {
		a.t.Errorf("odd event %+v for %q", e, mailbox)
	}
	checkFates(a.t, e.Drain)
	if !slices.ContainsFunc(a.events, func(d mail.Drain) bool { return d.Session == e.Drain.Session }) {
		a.events = append(a.events, *e.Drain)
	}
	return nil
}

// has reports whether raw is sealed from mailbox, and not as suspect.
func (a *archive) has(mailbox string, raw []byte) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, ok := a.digests[sealedDigest{mailbox: mailbox, digest: mail.DigestOf(raw)}]
	return ok
}

// lastEvent returns the newest event.
func (a *archive) lastEvent() mail.Drain {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.events) == 0 {
		a.t.Fatal("no event was reported")
	}
	return a.events[len(a.events)-1]
}

// put seals d, once, and returns its receipt.
func (a *archive) put(d mail.Delivery) mail.Receipt {
	a.mu.Lock()
	defer a.mu.Unlock()
	k := sealedDigest{d.Mailbox, d.UIDL, d.Digest, d.Suspect}
	if old, ok := a.digests[k]; ok {
		old.Duplicate = true
		a.sealed = append(a.sealed, old)
		return old
	}
	bytes := sealedDigest{mailbox: d.Mailbox, digest: d.Digest}
	r := mail.Receipt{Delivery: d, ID: mail.ID{Seq: a.seq}, SealedAt: time.Now(), First: a.first[bytes]}
	a.seq++
	if r.First.IsZero() {
		a.first[bytes] = r.SealedAt
	}
	a.digests[k] = r
	if d.Suspect == "" {
		a.rows[sealedRow{d.Mailbox, mail.Listing{UIDL: d.UIDL, Size: d.ListSize}}] = r
		a.uidls[sealedUidl{d.Mailbox, d.UIDL}] = r
		a.digests[sealedDigest{mailbox: d.Mailbox, digest: d.Digest}] = r
	}
	a.sealed = append(a.sealed, r)
	return r
}

type transfer struct {
	a     *archive
	bytes bytes.Buffer
	ended bool
}

func (tr *transfer) Write(p []byte) (int, error) {
	if w := tr.a.write; w != nil {
		if err := w(tr.bytes.Len()); err != nil {
			return 0, err
		}
	}
	return tr.bytes.Write(p)
}

func (tr *transfer) end() {
	if tr.ended {
		tr.a.t.Error("a transfer was ended twice")
	}
	tr.ended = true
	tr.a.open--
}

func (tr *transfer) Abort() {
	tr.a.mu.Lock()
	defer tr.a.mu.Unlock()
	tr.end()
}

func (tr *transfer) Commit(_ context.Context, d mail.Delivery) (Pending, error) {
	a := tr.a
	a.mu.Lock()
	defer a.mu.Unlock()
	tr.end()
	if d.Fingerprint != mail.FingerprintOf(tr.bytes.Bytes()) {
		a.t.Errorf("committed %s, written %s", d.Fingerprint, mail.FingerprintOf(tr.bytes.Bytes()))
	}
	if a.commit != nil {
		if err := a.commit(d); err != nil {
			return nil, err
		}
	}
	a.commits++
	var how sealing
	if a.seal != nil {
		how = a.seal(d)
	}
	a.bodies[d.Digest] = slices.Clone(tr.bytes.Bytes())
	p := &pendingSeal{done: make(chan struct{})}
	if !how.never {
		time.AfterFunc(how.after, func() { p.complete(a, d, how) })
	}
	return p, nil
}

type pendingSeal struct {
	done    chan struct{}
	receipt mail.Receipt
	err     error
}

func (p *pendingSeal) complete(a *archive, d mail.Delivery, how sealing) {
	if p.err = how.err; p.err == nil {
		p.receipt = a.put(d)
	}
	if how.alter != nil {
		a.mu.Lock()
		how.alter(&p.receipt)
		a.mu.Unlock()
	}
	if !how.silent {
		close(p.done)
	}
}

func (p *pendingSeal) Receipt(ctx context.Context) (mail.Receipt, error) {
	select {
	case <-p.done:
		return p.receipt, p.err
	case <-ctx.Done():
		return mail.Receipt{}, ctx.Err()
	}
}

// leases is a Leaser in memory. check and lose script a loss.
type leases struct {
	t     *testing.T
	mu    sync.Mutex
	held  map[string]*leased
	check func(n int) error        // asked at the nth Check of a lease, from 1
	most  int                      // held at once, at any time
	after map[string]time.Duration // the release of these comes so late, as that of a worker that died
}

// outlive lets the lease of a mailbox end by its life: its holder is about to die.
func (l *leases) outlive(mailbox string, life time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.after == nil {
		l.after = make(map[string]time.Duration)
	}
	l.after[mailbox] = life
}

type leased struct {
	l      *leases
	name   string
	lost   chan struct{}
	checks int
}

func (l *leases) Lease(_ context.Context, mailbox string) (Lease, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		l.held = make(map[string]*leased)
	}
	if l.held[mailbox] != nil {
		return nil, mail.Errorf(mail.InUse, "mailbox %q is leased", mailbox)
	}
	h := &leased{l: l, name: mailbox, lost: make(chan struct{})}
	l.held[mailbox] = h
	l.most = max(l.most, len(l.held))
	return h, nil
}

// lose takes the lease of a mailbox away.
func (l *leases) lose(mailbox string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.held[mailbox].lost)
}

func (h *leased) Check(context.Context) error {
	h.checks++
	if h.l.check != nil {
		return h.l.check(h.checks)
	}
	return nil
}

func (h *leased) Lost() <-chan struct{} { return h.lost }

func (h *leased) Release(context.Context) error {
	h.l.mu.Lock()
	defer h.l.mu.Unlock()
	if h.l.held[h.name] != h {
		h.l.t.Error("a lease was released twice")
	}
	if life := h.l.after[h.name]; life > 0 {
		delete(h.l.after, h.name)
		time.AfterFunc(life, func() {
			h.l.mu.Lock()
			defer h.l.mu.Unlock()
			delete(h.l.held, h.name)
		})
		return nil
	}
	delete(h.l.held, h.name)
	return nil
}

// store is a Store in memory.
type store struct {
	mu   sync.Mutex
	data map[string][]byte
	rev  map[string]uint64
	fail error
	// last, if not empty, is a text behind whose first save all fail, as those of a
	// worker do that died.
	last string
	dead bool
}

func (s *store) Load(_ context.Context, mailbox string) ([]byte, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.data[mailbox], s.rev[mailbox], s.fail
}

func (s *store) Save(_ context.Context, mailbox string, data []byte, rev uint64) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead = s.last != "" && s.dead; s.dead {
		return 0, mail.Errorf(mail.Temporary, "nobody is there to save it")
	}
	s.dead = s.last != "" && bytes.Contains(data, []byte(s.last))
	if s.fail != nil {
		return 0, s.fail
	}
	if s.data == nil {
		s.data, s.rev = make(map[string][]byte), make(map[string]uint64)
	}
	if s.rev[mailbox] != rev {
		return 0, mail.Errorf(mail.InUse, "revision %d, not %d", s.rev[mailbox], rev)
	}
	s.data[mailbox] = slices.Clone(data)
	s.rev[mailbox]++
	return s.rev[mailbox], nil
}

// logs collects log output.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
