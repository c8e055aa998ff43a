package indexer

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// A fakeLedger is a Source whose messages are kept as JSON, so that no parser
// is needed to read them.
type fakeLedger struct {
	mu      sync.Mutex
	grown   chan struct{} // closed and replaced when records are added
	records []mail.Record
	raws    map[uint64][]byte
	rawErr  map[uint64]error // what Raw returns for these
	opened  map[uint64]int
	step    time.Duration // between records
}

func newLedger() *fakeLedger {
	return &fakeLedger{grown: make(chan struct{}), raws: map[uint64][]byte{}, rawErr: map[uint64]error{}, opened: map[uint64]int{}, step: time.Second}
}

var epoch = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// add appends a message and returns its record.
func (l *fakeLedger) add(mailbox string, m *mail.Message) mail.Record {
	raw, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	size := m.Size
	if size == 0 {
		size = int64(len(raw))
	}
	l.mu.Lock()
	seq := uint64(len(l.records))
	l.raws[seq] = raw
	l.mu.Unlock()
	return l.append(mail.Record{Kind: mail.KindMessage, Delivery: delivery(mailbox, size)})
}

func delivery(mailbox string, size int64) mail.Delivery {
	return mail.Delivery{
		Capture:     mail.Capture{Mailbox: mailbox, Fetched: epoch.AddDate(20, 0, 0)},
		Fingerprint: mail.Fingerprint{Size: size},
	}
}

func (l *fakeLedger) append(r mail.Record) mail.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.ID = mail.ID{Seq: uint64(len(l.records))}
	r.Next = r.ID.Seq + 1
	r.Time = epoch.Add(time.Duration(r.ID.Seq) * l.step)
	l.records = append(l.records, r)
	close(l.grown)
	l.grown = make(chan struct{})
	return r
}

func (l *fakeLedger) Size() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint64(len(l.records))
}

func (l *fakeLedger) Wait(ctx context.Context, size uint64) error {
	for {
		l.mu.Lock()
		n, grown := uint64(len(l.records)), l.grown
		l.mu.Unlock()
		if n > size {
			return nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *fakeLedger) Records(ctx context.Context, from uint64) iter.Seq2[mail.Record, error] {
	l.mu.Lock()
	list := l.records[min(from, uint64(len(l.records))):]
	l.mu.Unlock()
	return func(yield func(mail.Record, error) bool) {
		for _, r := range list {
			if err := ctx.Err(); err != nil {
				yield(mail.Record{}, err)
				return
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (l *fakeLedger) Raw(_ context.Context, id mail.ID) (mail.Raw, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opened[id.Seq]++
	if err := l.rawErr[id.Seq]; err != nil {
		return nil, err
	}
	return fakeRaw{bytes.NewReader(l.raws[id.Seq])}, nil
}

// message is a TextFunc.
func (l *fakeLedger) message(ctx context.Context, id mail.ID) (*mail.Message, error) {
	l.mu.Lock()
	r := l.records[id.Seq]
	l.mu.Unlock()
	raw, err := l.Raw(ctx, r.Body())
	if err != nil {
		return nil, err
	}
	return parseJSON(ctx, mail.Record{}, raw)
}

type fakeRaw struct{ *bytes.Reader }

func (fakeRaw) Close() error { return nil }

func parseJSON(_ context.Context, _ mail.Record, r mail.Raw) (*mail.Message, error) {
	b, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	if err != nil {
		return nil, err
	}
	m := &mail.Message{}
	return m, json.Unmarshal(b, m)
}

func headerDate(m *mail.Message, fetched time.Time) (time.Time, string) {
	if m.DateHeader.IsZero() {
		return fetched, "fetched"
	}
	return m.DateHeader, "header"
}

// openIndex opens an index that is closed when the test ends.
func openIndex(t testing.TB, dir string) *Index {
	t.Helper()
	return opened(t, Options{Dir: dir})
}

// opened opens an index, in a directory of its own if o names none, and closes it
// when the test ends.
func opened(t testing.TB, o Options) *Index {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	x, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	return x
}

// indexed returns an index of all that l holds.
func indexed(t testing.TB, l *fakeLedger) *Index {
	t.Helper()
	x := openIndex(t, t.TempDir())
	catchUp(t, x, l)
	return x
}

func catchUp(t testing.TB, x *Index, l *fakeLedger) {
	t.Helper()
	if err := x.CatchUp(t.Context(), l, parseJSON, headerDate, nil); err != nil {
		t.Fatal(err)
	}
	if x.Position() != l.Size() {
		t.Fatalf("position %d after catching up with %d records", x.Position(), l.Size())
	}
}

// find returns the positions of all hits of a query, page by page.
func find(t testing.TB, x *Index, l *fakeLedger, q string) []uint64 {
	t.Helper()
	var out []uint64
	req := mail.SearchRequest{Query: q, Limit: 37}
	for {
		a, err := x.Search(t.Context(), req, l.Size(), nil)
		if err != nil {
			t.Fatalf("%s: %v", q, err)
		}
		for _, h := range a.Hits {
			out = append(out, h.ID.Seq)
		}
		if a.Next == "" {
			if a.Total != uint64(len(out)) {
				t.Fatalf("%s: total %d, but %d hits on all pages", q, a.Total, len(out))
			}
			return out
		}
		req.After = a.Next
	}
}

// The words of the corpus. Some differ by what folding removes only.
var vocabulary = []string{
	"invoice", "Invoices", "report", "annual", "Budget", "meeting", "the", "of", "and", "not", "contract",
	"Isenböck", "isenbock", "Müller", "straße", "STRASSE", "café", "naïve", "e-mail", "don't", "3.14", "2024", "Zürich",
}

var people = []mail.Address{
	{Name: "Anna Berg", Addr: "anna@example.org"},
	{Name: "Bob Müller", Addr: "bob.mueller@mail.example.org"},
	{Name: "Čedo, Sales", Addr: "sales@example.com"},
	{Addr: "no-reply@example.net"},
	{Raw: "undisclosed recipients", Name: ""},
}

// corpus fills a ledger with n generated records of every kind.
func corpus(n int, seed uint64) *fakeLedger {
	l := newLedger()
	r := rand.New(rand.NewPCG(seed, 1))
	for range n {
		mailbox := []string{"sales", "Board", "sales east"}[r.IntN(3)]
		switch k := r.IntN(20); {
		case k == 0:
			l.append(mail.Record{Kind: mail.KindEvent, Event: &mail.Event{Type: mail.EventDrain}})
		case k <= 2 && len(l.raws) > 0:
			of := pick(r, slices.Sorted(mapsKeys(l.raws)))
			l.append(mail.Record{
				Kind: mail.KindReference, Of: mail.ID{Seq: of}, Again: k == 1,
				Delivery: delivery(mailbox, l.records[of].Delivery.Size),
			})
		default:
			l.add(mailbox, randomMessage(r))
		}
	}
	return l
}

func mapsKeys(m map[uint64][]byte) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

func some(r *rand.Rand, most int) []mail.Address {
	var out []mail.Address
	for range r.IntN(most + 1) {
		out = append(out, pick(r, people))
	}
	return out
}

func sentence(r *rand.Rand, words int) string {
	var b bytes.Buffer
	for range words {
		b.WriteString(pick(r, vocabulary))
		b.WriteString(pick(r, []string{" ", " ", " ", ", ", ".\r\n"}))
	}
	return b.String()
}

func randomMessage(r *rand.Rand) *mail.Message {
	m := &mail.Message{
		Subject: sentence(r, r.IntN(5)),
		From:    some(r, 1), To: some(r, 3), Cc: some(r, 1), Bcc: some(r, 1),
		Text:       sentence(r, r.IntN(30)),
		DateHeader: epoch.Add(time.Duration(r.Int64N(int64(12 * 365 * 24 * time.Hour)))).Truncate(24 * time.Hour),
		Size:       pick(r, []int64{100, 1023, 1024, 1025, 99999, 1 << 20, 1<<20 + 1, 40 << 20}),
	}
	if r.IntN(4) == 0 {
		m.Parts = append(m.Parts, mail.Part{
			Role: mail.RoleAttachment, FileName: fmt.Sprintf("%s-%d.pdf", pick(r, vocabulary), r.IntN(9)),
			Text: sentence(r, r.IntN(10)), TextStatus: pick(r, []mail.TextStatus{
				mail.TextOK, mail.TextNone, mail.TextUnsupported, mail.TextEncrypted, mail.TextTruncated}),
		})
	}
	return m
}
