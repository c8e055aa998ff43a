package store_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/ledger"
	"github.com/mailkeep/mailkeep/sink/store"
)

// spooled returns a directory of segments of which all but the last are in the
// store alone.
func spooled(t *testing.T, segments [][]byte) (*durabletest.FS, *store.Dir) {
	t.Helper()
	fsys, s := durabletest.New(), newDir(t, durabletest.New())
	putSegments(t, fsys, segments)
	spoolAll(t, fsys, s)
	return fsys, s
}

func spoolAll(t *testing.T, fsys durable.FS, s store.Store) {
	t.Helper()
	o := options(fsys, s, &journal{})
	now := time.Now()
	o.Now = func() time.Time { return now }
	for range 2 {
		now = now.Add(48 * time.Hour)
		if err := store.NewSpool(o).Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTreeListsWhatIsAway(t *testing.T) {
	fsys, s := spooled(t, [][]byte{make([]byte, 100), make([]byte, 200), make([]byte, 300)})
	tree := store.NewTree(fsys, s)
	entries, err := tree.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i, e := range entries {
		names = append(names, e.Name())
		if info, err := e.Info(); err != nil || strings.HasSuffix(e.Name(), ".seg") && info.Size() != int64(100*(i+1)) {
			t.Errorf("%s has %v, %v", e.Name(), info, err)
		}
	}
	if want := segmentName(0) + " " + segmentName(1) + " " + segmentName(2) + " " + segmentName(3) + ".open"; strings.Join(names, " ") != want {
		t.Errorf("listed %v", names)
	}
	if err := tree.Link(segmentName(2), segmentName(0)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a link to the name of a segment in the store: %v", err)
	}
	if _, err := tree.Open(segmentName(9)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a segment that is nowhere: %v", err)
	}
	_, err = store.NewTree(fsys, nil).Open(segmentName(0))
	wantKind(t, "open without a store", err, mail.Invalid)
	if mail.HintOf(err) == "" {
		t.Error("there is no hint")
	}
	if err := fsys.Remove(segmentName(1) + store.NoteSuffix); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(fsys, segmentName(1)+store.NoteSuffix, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	_, err = store.NewTree(fsys, s).Open(segmentName(1))
	wantKind(t, "open with a damaged note", err, mail.Corrupt)
}

func TestRemoteIsReadOnly(t *testing.T) {
	fsys, s := spooled(t, [][]byte{make([]byte, 100), {1}})
	f, err := store.NewTree(fsys, s).Open(segmentName(0))
	if err != nil {
		t.Fatal(err)
	}
	_, werr := f.Write([]byte("x"))
	_, aerr := f.WriteAt([]byte("x"), 0)
	for _, err := range []error{werr, aerr, f.Sync()} {
		if !errors.Is(err, fs.ErrPermission) {
			t.Errorf("a change gives %v", err)
		}
	}
	if n, err := f.ReadAt(make([]byte, 10), 95); n != 5 || err == nil {
		t.Errorf("a read over the end gives %d, %v", n, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadAt(make([]byte, 10), 0); err == nil {
		t.Error("a closed file is read")
	}
}

// TestLedgerFallsThrough: a ledger whose segments are in the store reads, verifies
// and goes on like one that has them.
func TestLedgerFallsThrough(t *testing.T) {
	fsys, files := durabletest.New(), durabletest.New()
	s := newDir(t, files)
	tree := store.NewTree(fsys, s)
	o := ledger.Options{Archive: [16]byte{1}, SegmentSize: 20_000}
	var ids []mail.ID
	var digests []mail.Digest
	for range 3 {
		l, err := ledger.Open(tree, o)
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			raw := randomBytes(9000)
			e, err := l.Maker().Message(mail.Delivery{Capture: mail.Capture{Mailbox: "a@example.org"}, Fingerprint: mail.FingerprintOf(raw)}, raw)
			if err != nil {
				t.Fatal(err)
			}
			sealed, err := l.Append(t.Context(), []*ledger.Entry{e})
			if err != nil {
				t.Fatal(err)
			}
			ids, digests = append(ids, sealed[0].ID), append(digests, mail.DigestOf(raw))
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		spoolAll(t, fsys, s)
	}
	if here(fsys, "0000000000000000.seg") {
		t.Fatal("the first segment is still in the directory")
	}
	r, err := ledger.OpenReader(tree, o)
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range ids {
		raw, err := r.Raw(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, raw.Size())
		if _, err := raw.ReadAt(b, 0); err != nil || mail.DigestOf(b) != digests[i] {
			t.Errorf("message %s is another: %v", id, err)
		}
	}
	n := 0
	for _, err := range r.Records(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != len(ids) {
		t.Errorf("%d records are followed", n)
	}
	report, err := ledger.Verify(t.Context(), tree, ledger.VerifyOptions{Archive: o.Archive, Found: func(f ledger.Finding) { t.Errorf("found %+v", f) }})
	if err != nil || report.Messages != uint64(len(ids)) {
		t.Errorf("verified %+v, %v", report, err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	// A byte that the store changes is found like one on the disk.
	object, err := durable.ReadFile(files, prefix+"0000000000000000.seg")
	if err != nil {
		t.Fatal(err)
	}
	object[len(object)/2] ^= 1
	if err := durable.WriteFile(files, prefix+"0000000000000000.seg", object); err != nil {
		t.Fatal(err)
	}
	found := 0
	if _, err := ledger.Verify(t.Context(), tree, ledger.VerifyOptions{Archive: o.Archive, Found: func(ledger.Finding) { found++ }}); err != nil || found == 0 {
		t.Errorf("a changed octet in the store: %d findings, %v", found, err)
	}
}
