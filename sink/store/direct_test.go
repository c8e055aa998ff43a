package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/internal/lab"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/ledger"
	"github.com/mailkeep/mailkeep/sink/store"
)

var archiveID = [16]byte{7}

// container opens the ledger from the store alone, as a process with an empty
// directory does.
func container(t testing.TB, s store.Store) (*ledger.Ledger, durable.FS) {
	t.Helper()
	scratch := durabletest.New()
	if err := store.Gather(t.Context(), scratch, s, prefix); err != nil {
		t.Fatal(err)
	}
	return openDirect(t, scratch, s), scratch
}

func openDirect(t testing.TB, scratch durable.FS, s store.Store) *ledger.Ledger {
	t.Helper()
	d := store.NewDirect(store.DirectOptions{FS: scratch, Store: s, Prefix: prefix, Policy: store.Policy{Mode: store.Compliance, Period: store.Period{Years: 6}}})
	l, err := ledger.Open(d, ledger.Options{Archive: archiveID, SealEach: true})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func letter(t testing.TB, n int) *ledger.Entry {
	t.Helper()
	raw := fmt.Appendf(nil, "Subject: letter %d\r\n\r\n%s\r\n", n, strings.Repeat("text ", 50))
	e, err := ledger.Message(mail.Delivery{
		Capture:     mail.Capture{Mailbox: "sales", UIDL: mail.Octets(fmt.Sprint(n)), ListSize: int64(len(raw)), Session: "s", Host: "pop.example.org", Fetched: time.Now()},
		Fingerprint: mail.FingerprintOf(raw),
	}, raw)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// letters tells which letters are in the ledger, in order.
func letters(t testing.TB, l *ledger.Ledger) string {
	t.Helper()
	var found []string
	for r, err := range l.Records(context.Background(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Kind != mail.KindEvent {
			found = append(found, string(r.Delivery.Capture.UIDL))
		}
	}
	return strings.Join(found, " ")
}

// deliver appends a letter until there is a receipt for it, as the sink does: what
// the ledger turns out to hold is not appended again.
func deliver(t testing.TB, l *ledger.Ledger, n int) {
	t.Helper()
	for range 5 {
		if strings.HasSuffix(" "+letters(t, l), fmt.Sprintf(" %d", n)) {
			return
		}
		if _, err := l.Append(t.Context(), []*ledger.Entry{letter(t, n)}); err == nil {
			return
		}
	}
	t.Fatalf("letter %d is not sealed: %v", n, l.Healthy())
}

func verifyDirect(t testing.TB, scratch durable.FS, s store.Store) {
	t.Helper()
	r, err := ledger.Verify(t.Context(), store.NewSealedTree(scratch, s), ledger.VerifyOptions{Archive: archiveID})
	if err != nil || r.Damaged > 0 || r.Notes > 0 {
		t.Errorf("verified %+v, %v", r, err)
	}
}

// TestDirect: every batch is in the store once it has a receipt; a process with an
// empty directory opens the ledger from there, and goes on.
func TestDirect(t *testing.T) {
	for name, s := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			for n := range 4 {
				l, scratch := container(t, s)
				deliver(t, l, 2*n)
				deliver(t, l, 2*n+1)
				verifyDirect(t, scratch, s)
			}
			l, scratch := container(t, s)
			if got := letters(t, l); got != "0 1 2 3 4 5 6 7" {
				t.Errorf("the ledger holds %q", got)
			}
			verifyDirect(t, scratch, s)
			seen := 0
			for o, err := range s.List(t.Context(), prefix) {
				if err != nil {
					t.Fatal(err)
				}
				if o, err = s.Stat(t.Context(), o.Ref); err != nil || o.Retention.Mode != store.Compliance || o.Retention.Until.Before(in(5*365*24*time.Hour)) {
					t.Errorf("stored as %+v, %v", o, err)
				}
				seen++
			}
			if seen != 8 {
				t.Errorf("there are %d objects", seen)
			}
		})
	}
}

// TestDirectFaults: whatever fails at whichever request, once or for as long as the
// client tries, and whether the process lives on or dies: every letter with a receipt
// is there once, and nothing else comes in twice.
func TestDirectFaults(t *testing.T) {
	g := lab.StartGateway(t)
	const requests = 3 // PUT, HEAD, GET
	for _, f := range []fault{lostAnswer, denied, full, changed, short} {
		for n := range requests {
			for _, dies := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%d/dies=%t", f, n, dies), func(t *testing.T) {
					t.Parallel()
					bucket := fmt.Sprintf("direct-%d-%d-%t", f, n, dies)
					sound := newBucket(t, g, bucket)
					l, _ := container(t, sound)
					deliver(t, l, 1)
					p, u := newProxy(t, g, f, 0, 0)
					l, _ = container(t, bucketOf(t, g, u, bucket))
					p.arm(n, 4) // the client tries three times
					_, err := l.Append(t.Context(), []*ledger.Entry{letter(t, 2)})
					if err != nil && mail.KindOf(err) == mail.Other {
						t.Errorf("an error without a kind: %v", err)
					}
					if p.requests() <= n {
						t.Error("the fault was not reached")
					}
					p.arm(0, 0)
					if dies {
						l, _ = container(t, sound)
					}
					deliver(t, l, 2)
					deliver(t, l, 3)
					last, scratch := container(t, sound)
					if got := letters(t, last); got != "1 2 3" {
						t.Errorf("the ledger holds %q", got)
					}
					verifyDirect(t, scratch, sound)
				})
			}
		}
	}
}

// arm has the n-th request from now on fail, and those that follow it, count of them.
func (p *proxy) arm(n, count int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen, p.n, p.count = 0, n, count
}

// TestDirectTwo: two processes that believe they own the ledger, each with a
// directory of its own: one PUT of a number stands, the other process ends.
func TestDirectTwo(t *testing.T) {
	s := newBucket(t, lab.StartGateway(t), "two")
	one, _ := container(t, s)
	deliver(t, one, 1)
	two, _ := container(t, s)
	deliver(t, two, 2)
	if _, err := one.Append(t.Context(), []*ledger.Entry{letter(t, 3)}); mail.KindOf(err) != mail.InUse {
		t.Errorf("the first still appends: %v", err)
	}
	if one.Taken() == nil || two.Taken() != nil {
		t.Errorf("taken: %v, %v", one.Taken(), two.Taken())
	}
	deliver(t, two, 4)
	l, scratch := container(t, s)
	if got := letters(t, l); got != "1 2 4" {
		t.Errorf("the ledger holds %q", got)
	}
	verifyDirect(t, scratch, s)
}

// TestGather: a directory that is left over says what the store says.
func TestGather(t *testing.T) {
	s := newDir(t, durabletest.New())
	l, scratch := container(t, s)
	deliver(t, l, 1)
	for _, name := range []string{segmentName(9), segmentName(9) + ".open", segmentName(9) + ".recover", segmentName(9) + ".stored.tmp"} {
		if err := durable.WriteFile(scratch, name, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	other, _ := container(t, s)
	deliver(t, other, 2)
	if err := durable.WriteFile(scratch, segmentName(0)+store.NoteSuffix, nil); err != nil {
		t.Fatal(err)
	}
	if err := store.Gather(t.Context(), scratch, s, prefix); err != nil {
		t.Fatal(err)
	}
	if l = openDirect(t, scratch, s); letters(t, l) != "1 2" {
		t.Errorf("the ledger holds %q", letters(t, l))
	}
	entries, err := store.NewSealedTree(scratch, s).ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.Contains(e.Name(), segmentName(9)) {
			t.Errorf("%s is still there", e.Name())
		}
	}
}

// TestFetchFirst: what never changes is read as it was put, whatever came over it.
func TestFetchFirst(t *testing.T) {
	g := lab.StartGateway(t)
	s := newBucket(t, g, "first")
	put(t, s, "ARCHIVE", []byte("ours"), store.Retention{})
	put(t, s, "ARCHIVE.keys", []byte("other"), store.Retention{})
	first := func() {
		t.Helper()
		if b, err := store.FetchFirst(t.Context(), s, "ARCHIVE"); string(b) != "ours" {
			t.Errorf("it is %q, %v", b, err)
		}
	}
	if err := s.Replace(t.Context(), "ARCHIVE", []byte("theirs")); err != nil {
		t.Fatal(err)
	}
	first()
	c, err := minio.New(strings.TrimPrefix(g.URL, "http://"), &minio.Options{Creds: credentials.NewStaticV4(g.Access, g.Secret, ""), Region: "us-east-1", BucketLookup: minio.BucketLookupPath})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.RemoveObject(t.Context(), "first", "archive/ARCHIVE", minio.RemoveObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Fetch(t.Context(), s, "ARCHIVE"); mail.KindOf(err) != mail.NotFound {
		t.Fatalf("it is not marked as deleted: %v", err)
	}
	first()
	_, err = store.FetchFirst(t.Context(), s, "ARCH")
	wantKind(t, "what is not there", err, mail.NotFound)
}

// TestThrough: a key file is in the store before it is in the directory, is fetched
// by who has none, never made twice, and gone when it is removed.
func TestThrough(t *testing.T) {
	for name, s := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			through := func() *store.Through {
				return store.NewThrough(store.ThroughOptions{FS: durabletest.New(), Store: s, Prefix: "keys/", Wanted: func(n string) bool { return strings.HasSuffix(n, ".keys") }})
			}
			one, two := through(), through()
			if err := durable.WriteOnce(one, "a.keys", []byte("first")); err != nil {
				t.Fatal(err)
			}
			if err := durable.WriteFile(one, "lock", nil); err != nil {
				t.Fatal(err)
			}
			if err := durable.WriteOnce(two, "a.keys", []byte("other")); err == nil {
				t.Error("it is made twice")
			}
			wantFile(t, two, "a.keys", "first")
			if err := durable.WriteFile(two, "a.keys", []byte("second")); err != nil {
				t.Fatal(err)
			}
			if err := one.Forget(); err != nil {
				t.Fatal(err)
			}
			wantFile(t, one, "a.keys", "second")
			entries, err := through().ReadDir(".")
			if err != nil || len(entries) != 1 || entries[0].Name() != "a.keys" {
				t.Errorf("listed %v, %v", entries, err)
			}
			if _, err := two.Stat("b.keys"); err == nil {
				t.Error("a file that is nowhere is told")
			}
		})
	}
}

// TestThroughWhileReplaced: who fetches a file that another is about to replace does
// not touch what that one is writing.
func TestThroughWhileReplaced(t *testing.T) {
	s := newDir(t, durabletest.New())
	keys := store.NewThrough(store.ThroughOptions{FS: durabletest.New(), Store: s, Prefix: "keys/", Wanted: func(n string) bool { return strings.HasSuffix(n, ".keys") }})
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ok(durable.WriteOnce(keys, "a.keys", []byte("old")))
	ok(keys.Forget())
	ok(durable.WriteFile(keys, "writing", []byte("new")))
	ok(keys.Rename("writing", "a.keys.tmp")) // as durable.WriteFile does, up to its last step
	wantFile(t, keys, "a.keys", "old")
	ok(keys.Rename("a.keys.tmp", "a.keys"))
	ok(keys.Forget())
	wantFile(t, keys, "a.keys", "new")
	entries, err := keys.ReadDir(".")
	if err != nil || len(entries) != 1 {
		t.Errorf("left are %v, %v", entries, err)
	}
}

func wantFile(t *testing.T, fsys durable.FS, name, want string) {
	t.Helper()
	if b, err := durable.ReadFile(fsys, name); err != nil || string(b) != want {
		t.Errorf("%s holds %q, %v", name, b, err)
	}
}
