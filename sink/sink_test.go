package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/mail"
)

func TestSealAndSealAgain(t *testing.T) {
	r := memRig(t, Options{})
	l := newLetter("a@example.org", "u1", "Subject: x\r\n\r\nbody\r\n")
	first := r.deliver(l)
	r.readable(first, []letter{l})
	if first[0].Duplicate || !cmp.Equal(first[0].Delivery, l.Delivery) {
		t.Errorf("first receipt: %+v", first[0])
	}
	size := r.log.Size()
	second := r.deliver(l)[0]
	if !second.Duplicate || second.ID != first[0].ID || !second.SealedAt.Equal(first[0].SealedAt) {
		t.Errorf("second receipt %+v, first %+v", second, first[0])
	}
	if err := second.Covers(l.Mailbox, l.Fingerprint); err != nil {
		t.Errorf("the duplicate's receipt: %v", err)
	}
	if got := r.log.Size(); got != size {
		t.Errorf("a duplicate grew the ledger from %d to %d", size, got)
	}
	rows, err := r.sink.Lookup(t.Context(), l.Mailbox, []mail.Listing{{UIDL: "u1", Size: l.ListSize}, {UIDL: "u2", Size: 1}})
	if err != nil || len(rows) != 2 || rows[0].ID != first[0].ID || !rows[1].SealedAt.IsZero() {
		t.Errorf("Lookup = %+v, %v", rows, err)
	}
	r.check(l)
}

// A message that comes under another unique-id has the age of its first seal.
func TestReferenceKeepsTheAge(t *testing.T) {
	r := memRig(t, Options{})
	first := r.deliver(newLetter("a@example.org", "u1", "x"))[0]
	again := r.deliver(newLetter("a@example.org", "u2", "x"))[0]
	if again.ID == first.ID || !again.First.Equal(first.Since()) || !first.First.IsZero() {
		t.Errorf("first %+v, again %+v", first, again)
	}
	twice := r.deliver(newLetter("a@example.org", "u2", "x"))[0]
	if !twice.Duplicate || !twice.Since().Equal(first.Since()) {
		t.Errorf("duplicate %+v", twice)
	}
}

// The same deliveries get the same records whether each is a batch of its own
// or all are in one.
func TestDecisions(t *testing.T) {
	letters := []letter{
		newLetter("a", "1", "x"),
		newLetter("a", "1", "x"),           // the same
		newLetter("a", "2", "x"),           // another UIDL
		newLetter("b", "1", "x"),           // another mailbox
		newLetter("b", "9", "x"),           // there again
		newLetter("a", "1", "y"),           // a recycled UIDL
		newLetter("a", "", "x"),            // no UIDL
		newLetter("a", "", "x"),            // the same
		newLetter("a", "1", "x").suspect(), // a copy in doubt
		newLetter("a", "1", "x").suspect(),
		newLetter("c", "1", "z").suspect(),
		newLetter("c", "1", "z"),
	}
	want := []string{
		"message a/1 x", "reference a/2 x again", "reference b/1 x", "reference b/9 x again", "message a/1 y",
		"reference a/ x again", "reference a/1 x again suspect", "message c/1 z suspect", "reference c/1 z again",
	}
	duplicates := []int{1, 7, 9}
	for _, tt := range []struct {
		name string
		send func(r *rig) []answer
		// unordered: deliveries that rest on a message of their own batch are
		// sealed right behind it.
		unordered bool
	}{
		{"one by one", func(r *rig) (all []answer) {
			for _, l := range letters {
				all = append(all, r.send(l)...)
			}
			return all
		}, false},
		{"one batch", func(r *rig) []answer {
			release := r.hold()
			var waits []<-chan answer
			for _, l := range letters {
				waits = append(waits, r.offer(l))
			}
			release()
			var all []answer
			for _, w := range waits {
				all = append(all, <-w)
			}
			return all
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := memRig(t, Options{Preparers: 1})
			answers := tt.send(r)
			for i, a := range answers {
				if a.err != nil {
					t.Fatalf("letter %d: %v", i, a.err)
				}
			}
			for i, l := range letters {
				dup := false
				for _, d := range duplicates {
					dup = dup || d == i
				}
				if answers[i].Duplicate != dup || answers[i].Suspect != l.Suspect || answers[i].Digest != l.Digest {
					t.Errorf("letter %d: receipt %+v, want duplicate %t", i, answers[i].Receipt, dup)
				}
			}
			if diff := cmp.Diff(want, described(r.records()), unordered(tt.unordered)); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			r.check(letters...)
		})
	}
}

func unordered(yes bool) cmp.Option {
	if !yes {
		return cmp.Options{}
	}
	return cmp.Transformer("counted", func(in []string) map[string]int {
		m := make(map[string]int)
		for _, s := range in {
			m[s]++
		}
		return m
	})
}

func described(records []mail.Record) []string {
	var all []string
	for _, r := range records {
		if r.Kind == mail.KindEvent { // of hold
			continue
		}
		body := map[mail.Digest]string{mail.DigestOf([]byte("x")): "x", mail.DigestOf([]byte("y")): "y", mail.DigestOf([]byte("z")): "z"}[r.Delivery.Digest]
		s := fmt.Sprintf("%s %s/%s %s", r.Kind, r.Delivery.Mailbox, r.Delivery.UIDL, body)
		if r.Again {
			s += " again"
		}
		if r.Delivery.Suspect != "" {
			s += " suspect"
		}
		all = append(all, s)
	}
	return all
}

// hold lets the committer wait in the append of a message of its own, so that
// what is offered until release makes one batch.
func (r *rig) hold() (release func()) {
	r.t.Helper()
	entered, free := make(chan struct{}), make(chan struct{})
	r.gate.set(func(int32) error {
		close(entered)
		<-free
		return nil
	}, nil)
	session := fmt.Sprint("hold ", r.gate.appends.Load())
	event := mail.Event{Type: mail.EventDrain, Drain: &mail.Drain{Session: session, Mailbox: "hold"}}
	if err := r.sink.AcceptEvent(r.t.Context(), event, func(mail.ID, error) {}); err != nil {
		r.t.Fatal(err)
	}
	<-entered
	r.gate.set(nil, nil)
	return func() { close(free) }
}

// Every order of a set of deliveries that come twice ends in one record each.
func TestEveryOrder(t *testing.T) {
	set := []letter{newLetter("a", "1", "x"), newLetter("a", "2", "x"), newLetter("b", "1", "x"), newLetter("a", "1", "x").suspect()}
	r := memRig(t, Options{})
	n := 0
	permute(set, func(order []letter) {
		n++
		var fresh []letter // the same set, of bytes of this round
		for _, l := range order {
			again := newLetter(l.Mailbox, fmt.Sprint(l.UIDL, n), fmt.Sprint(string(l.raw), n))
			again.Suspect = l.Suspect
			fresh = append(fresh, again)
		}
		twice := append(append([]letter{}, fresh...), fresh...)
		if n%2 == 0 {
			r.readable(r.deliver(twice...), twice)
		} else {
			for _, l := range twice {
				r.readable(r.deliver(l), []letter{l})
			}
		}
	})
	if got := len(r.records()); got != n*len(set) {
		t.Errorf("%d records for %d deliveries", got, n*len(set))
	}
	r.check()
}

func permute(set []letter, f func([]letter)) {
	var rec func(k int)
	rec = func(k int) {
		if k == len(set) {
			f(set)
			return
		}
		for i := k; i < len(set); i++ {
			set[k], set[i] = set[i], set[k]
			rec(k + 1)
			set[k], set[i] = set[i], set[k]
		}
	}
	rec(0)
}

// failing gives some of the bytes and then the error.
func failing(l letter, n int, err error) func(context.Context) (io.ReadCloser, error) {
	return func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader(string(l.raw[:n])), errorReader{err})), nil
	}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

func TestRefusals(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", (inlineSize+16)/16)
	for _, size := range []struct {
		name string
		l    letter
	}{
		{"small", newLetter("a", "1", "Subject: x\r\n\r\nbody\r\n")},
		{"large", newLetter("a", "2", "Subject: large\r\n\r\n"+large)},
	} {
		t.Run(size.name, func(t *testing.T) {
			r := memRig(t, Options{MaxMessage: 64 << 20})
			l := size.l
			other := l
			other.raw = []byte(strings.Replace(string(l.raw), "S", "s", 1))
			header, longer, unnamed, odd := l, l, l, l
			header.Header[0]++
			longer.raw = append(append([]byte{}, l.raw...), 'x')
			unnamed.Mailbox = ""
			odd.Mailbox = "\xff"
			huge, blank := l, l
			huge.Size = 64<<20 + 1
			blank.Digest = mail.Digest{}
			broken := errors.New("connection reset")
			refuse := func(err error) func(context.Context) (io.ReadCloser, error) {
				return func(context.Context) (io.ReadCloser, error) { return nil, err }
			}
			for _, tt := range []struct {
				name string
				l    letter
				raw  func(context.Context) (io.ReadCloser, error)
				want mail.Kind
			}{
				{"other bytes", other, other.open, mail.Corrupt},
				{"other header digest", header, header.open, mail.Corrupt},
				{"longer", longer, longer.open, mail.Corrupt},
				{"shorter", l, failing(l, len(l.raw)-1, io.EOF), mail.Corrupt},
				{"broken in the middle", l, failing(l, len(l.raw)/2, broken), mail.Temporary},
				{"not to be opened", l, refuse(broken), mail.Temporary},
				{"no space", l, refuse(mail.Errorf(mail.NoSpace, "full")), mail.NoSpace},
				{"bytes gone", l, refuse(mail.Errorf(mail.NotFound, "chunk 3")), mail.Corrupt},
				{"no mailbox", unnamed, unnamed.open, mail.Invalid},
				{"mailbox not text", odd, odd.open, mail.Invalid},
				{"over the limit", huge, huge.open, mail.Invalid},
				{"no digest", blank, blank.open, mail.Invalid},
			} {
				a := <-r.offerFrom(tt.l, tt.raw)
				if mail.KindOf(a.err) != tt.want || !a.SealedAt.IsZero() {
					t.Errorf("%s: %v (%s) and %+v, want %s", tt.name, a.err, mail.KindOf(a.err), a.Receipt, tt.want)
				}
			}
			if got := r.log.Size(); got != 0 {
				t.Errorf("refused messages grew the ledger to %d", got)
			}
			// A refusal holds nothing up, and nothing against the message itself.
			r.readable(r.deliver(l), []letter{l})
			r.check(l)
			// Known bytes are verified all the same.
			a := <-r.offerFrom(other, other.open)
			if mail.KindOf(a.err) != mail.Corrupt {
				t.Errorf("other bytes under a sealed digest: %v", a.err)
			}
		})
	}
}

func TestLargeMessages(t *testing.T) {
	r := memRig(t, Options{})
	var letters []letter
	for i, size := range []int{inlineSize, inlineSize + 1, 2 * inlineSize, 20 << 20} {
		letters = append(letters,
			newLetter("a", fmt.Sprint(i), fmt.Sprintf("Subject: %d\r\n\r\n", i)+strings.Repeat("0123456789abcde\n", size/16)),
			newLetter("a", fmt.Sprint("small", i), fmt.Sprint("small ", i)))
	}
	r.readable(r.deliver(letters...), letters)
	big := letters[len(letters)-2]
	if got := big.opens.Load(); got != 2 {
		t.Errorf("a large message was read %d times, want 2", got)
	}
	size := r.log.Size()
	if a := r.deliver(big)[0]; !a.Duplicate || big.opens.Load() != 3 {
		t.Errorf("again: receipt %+v after %d reads", a, big.opens.Load())
	}
	if got := r.log.Size(); got != size {
		t.Errorf("a duplicate grew the ledger from %d to %d", size, got)
	}
	r.check(letters...)
}

// The second pass over a large message may meet other bytes, or none: that
// message fails alone.
func TestLargeMessageChanges(t *testing.T) {
	r := memRig(t, Options{})
	l := newLetter("a", "1", "Subject: x\r\n\r\n"+strings.Repeat("0123456789abcde\n", (12<<20)/16))
	other := l
	other.raw = append([]byte("s"), l.raw[1:]...)
	for name, tt := range map[string]struct {
		second func(context.Context) (io.ReadCloser, error)
		want   mail.Kind
	}{
		"other bytes": {other.open, mail.Corrupt},
		"cut":         {failing(l, len(l.raw)-5, io.EOF), mail.Corrupt},
		"broken":      {failing(l, 9<<20, errors.New("connection reset")), mail.Temporary},
		"gone":        {failing(l, 0, mail.Errorf(mail.NotFound, "chunk 0")), mail.Corrupt},
	} {
		calls := 0
		a := <-r.offerFrom(l, func(ctx context.Context) (io.ReadCloser, error) {
			if calls++; calls == 1 {
				return l.open(ctx)
			}
			return tt.second(ctx)
		})
		if mail.KindOf(a.err) != tt.want {
			t.Errorf("%s: %v (%s), want %s", name, a.err, mail.KindOf(a.err), tt.want)
		}
	}
	if got := len(r.records()); got != 0 {
		t.Errorf("%d records are visible", got)
	}
	r.readable(r.deliver(l), []letter{l})
	r.check(l)
}

func TestEvents(t *testing.T) {
	r := memRig(t, Options{})
	event := func(session string) mail.Event {
		return mail.Event{Type: mail.EventDrain, Drain: &mail.Drain{
			Session: session, Mailbox: "a@example.org", Error: "said \xff", Ended: epoch.In(time.FixedZone("x", 3600)),
			Rows: []mail.DrainRow{{Number: 1, UIDL: "u"}},
		}}
	}
	type got struct {
		id  mail.ID
		err error
	}
	offer := func(e mail.Event) <-chan got {
		c := make(chan got, 2)
		if err := r.sink.AcceptEvent(t.Context(), e, func(id mail.ID, err error) { c <- got{id, err} }); err != nil {
			t.Fatal(err)
		}
		return c
	}
	release := r.hold()
	first, twin, other := offer(event("s1")), offer(event("s1")), offer(event("s2"))
	release()
	a, b, c := <-first, <-twin, <-other
	if a.err != nil || b != a || c.err != nil || c.id == a.id {
		t.Errorf("s1 %v, s1 %v, s2 %v", a, b, c)
	}
	if again := <-offer(event("s1")); again != a {
		t.Errorf("s1 again: %v, want %v", again, a)
	}
	anchor := mail.Event{Type: mail.EventAnchor, Anchor: &mail.Anchor{Heads: []mail.LogHead{{Partition: 1, Size: 7}}}}
	one := <-offer(anchor)
	two := <-offer(anchor)
	if one.err != nil || two.err != nil || one.id == two.id {
		t.Errorf("each event of the archive is a record: %v, %v", one, two)
	}
	for name, e := range map[string]mail.Event{
		"no heads":    {Type: mail.EventAnchor},
		"two things":  {Type: mail.EventAnchor, Anchor: anchor.Anchor, Drain: event("s").Drain},
		"no content":  {Type: mail.EventDrain},
		"no type":     {Drain: event("s").Drain},
		"no session":  event(""),
		"no mailbox":  {Type: mail.EventDrain, Drain: &mail.Drain{Session: "s"}},
		"odd session": event("\xff"),
	} {
		if got := <-offer(e); mail.KindOf(got.err) != mail.Invalid {
			t.Errorf("%s: %v, want mail.Invalid", name, got.err)
		}
	}
	r.check()
}

func TestBatching(t *testing.T) {
	n := 10_000
	if testing.Short() {
		n = 1000
	}
	var most, total int
	r := memRig(t, Options{Observe: func(b Batch) {
		most = max(most, b.Messages)
		total += b.Messages
	}})
	letters := make([]letter, n)
	for i := range letters {
		letters[i] = newLetter("a@example.org", fmt.Sprint(i), fmt.Sprintf("Subject: %d\r\n\r\nbody\r\n", i))
	}
	r.deliver(letters...)
	r.halt()
	appends := int(r.gate.appends.Load())
	syncs := 0
	for _, op := range r.fs.(*durabletest.FS).Ops() {
		if op.Kind == "sync" {
			syncs++
		}
	}
	t.Logf("%d messages, %d appends, %d syncs, largest batch %d", n, appends, syncs, most)
	if appends > n/8 || syncs > appends+10 {
		t.Errorf("%d messages took %d appends and %d syncs", n, appends, syncs)
	}
	if most > 256 {
		t.Errorf("a batch had %d messages", most)
	}
	if total != n {
		t.Errorf("%d messages were observed, want %d", total, n)
	}
}

func TestBatchBounds(t *testing.T) {
	var batches []Batch
	r := memRig(t, Options{BatchCount: 5, BatchBytes: 1000, Observe: func(b Batch) { batches = append(batches, b) }})
	release := r.hold()
	var waits []<-chan answer
	for i := range 20 {
		waits = append(waits, r.offer(newLetter("a", fmt.Sprint(i), fmt.Sprint(i, strings.Repeat("x", 398)))))
	}
	for i := range 20 {
		waits = append(waits, r.offer(newLetter("b", fmt.Sprint(i), fmt.Sprint(i))))
	}
	release()
	for _, w := range waits {
		if a := <-w; a.err != nil {
			t.Fatal(a.err)
		}
	}
	r.halt()
	for _, b := range batches {
		if b.Messages > 5 || b.Octets > 1000 {
			t.Errorf("a batch of %d messages and %d octets", b.Messages, b.Octets)
		}
	}
}

func TestBackPressure(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    Options
		size int
		fit  int
	}{
		{"messages", Options{QueueLen: 4}, 10, 3}, // the event of hold takes one place
		{"octets", Options{QueueBytes: 100_000 + eventWeight}, 30_000, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := memRig(t, tt.o)
			release := r.hold()
			var waits []<-chan answer
			letters := make([]letter, tt.fit+3)
			for i := range letters {
				letters[i] = newLetter("a", fmt.Sprint(i), fmt.Sprint(i, strings.Repeat("x", tt.size)))
			}
			for _, l := range letters[:tt.fit] {
				waits = append(waits, r.offer(l))
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			err := r.sink.Accept(ctx, Inbound{Delivery: letters[tt.fit].Delivery, Raw: letters[tt.fit].open, Ack: func(mail.Receipt, error) {
				t.Error("a message that was not taken is acknowledged")
			}})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Accept into a full queue: %v", err)
			}
			release()
			for _, w := range waits {
				if a := <-w; a.err != nil {
					t.Error(a.err)
				}
			}
			r.readable(r.deliver(letters...), letters)
		})
	}
	t.Run("larger than the queue", func(t *testing.T) {
		r := memRig(t, Options{QueueBytes: 100})
		l := newLetter("a", "1", strings.Repeat("x", 5000))
		r.readable(r.deliver(l), []letter{l})
	})
}

func TestStop(t *testing.T) {
	r := memRig(t, Options{})
	release := r.hold()
	letters := mixed(50)
	var waits []<-chan answer
	for _, l := range letters {
		waits = append(waits, r.offer(l))
	}
	r.stop()
	release()
	if err := <-r.done; err != nil {
		t.Fatal(err)
	}
	r.done <- nil // for halt
	sealed := 0
	for i, w := range waits {
		select {
		case a := <-w:
			if a.err == nil {
				sealed++
			} else if mail.KindOf(a.err) != mail.Temporary {
				t.Errorf("letter %d: %v", i, a.err)
			}
		default:
			t.Errorf("letter %d has no answer after Run has returned", i)
		}
	}
	t.Logf("%d of %d sealed", sealed, len(letters))
	if a := <-r.offer(letters[0]); mail.KindOf(a.err) != mail.Temporary {
		t.Errorf("Accept after the end: %v", a.err)
	}
	if err := r.sink.Run(t.Context()); mail.KindOf(err) != mail.Invalid {
		t.Errorf("second Run: %v", err)
	}
	r.checkCatalog()
}

func TestNewRefuses(t *testing.T) {
	if _, err := New(Options{}); mail.KindOf(err) != mail.Invalid {
		t.Errorf("New without a log: %v", err)
	}
}

func TestLookupWhileBehind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	fs := durabletest.New()
	letters := mixed(30)
	r := newRig(t, fs, path, Options{})
	r.deliver(letters...)
	r.halt()
	var told []uint64
	r = newRig(t, fs, filepath.Join(t.TempDir(), "other.db"), Options{Progress: func(done, total uint64) { told = append(told, done, total) }})
	if err := r.sink.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.sink.Lookup(t.Context(), "a", nil); err != nil {
		t.Errorf("Lookup after CatchUp: %v", err)
	}
	r.sink.follow.uncertain()
	if _, err := r.sink.Lookup(t.Context(), "a", nil); mail.KindOf(err) != mail.Temporary {
		t.Errorf("Lookup while behind: %v, want mail.Temporary", err)
	}
	r.halt()
	if n := len(told); n == 0 || told[n-2] != told[n-1] || told[n-1] != r.log.Size() {
		t.Errorf("progress %v does not end at %d", told, r.log.Size())
	}
}
