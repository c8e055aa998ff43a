package ledger_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

// A requests counts the ranged reads of an object.
type requests struct {
	io.ReaderAt
	n    int
	fail error
}

func (r *requests) ReadAt(p []byte, off int64) (int, error) {
	if r.n++; r.fail != nil {
		return 0, r.fail
	}
	return r.ReaderAt.ReadAt(p, off)
}

// sealedObject makes a segment of n messages and returns its octets.
func sealedObject(t *testing.T, opts ledger.Options, fsys *durabletest.FS, n int) (object []byte, ids []mail.ID) {
	t.Helper()
	opts.SegmentSize = 1 << 30
	l := open(t, fsys, opts)
	for i := 0; i < n; {
		var batch []*ledger.Entry
		for ; i < n && len(batch) < 500; i++ {
			raw := text(uint64(i), 700)
			e, err := l.Maker().Message(delivery("sales", raw), raw)
			if err != nil {
				t.Fatal(err)
			}
			batch = append(batch, e)
		}
		for _, s := range appendOK(t, l, batch...) {
			ids = append(ids, s.ID)
		}
	}
	closeOK(t, l)
	return slurp(t, fsys, segments(t, fsys)[0]), ids
}

// Once the end of an object is read, any record of it takes one read.
func TestSegmentReaderReads(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what           string
		records, reads int
	}{{"few records", 300, 1}, {"many records", 9000, 2}} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			fsys := durabletest.New()
			opts := sealing(t, fsys, master(t, testKey))
			object, ids := sealedObject(t, opts, fsys, c.records)
			r := &requests{ReaderAt: bytes.NewReader(object)}
			s, err := ledger.OpenSegment(r, int64(len(object)), 0, opts)
			if err != nil {
				t.Fatal(err)
			}
			if r.n != c.reads {
				t.Errorf("opened with %d reads, not %d", r.n, c.reads)
			}
			wantRaw(t, s, ids[0], text(0, 700)) // it reads the segment's open record, too
			for _, i := range []int{1, c.records / 2, c.records - 1} {
				r.n = 0
				wantRaw(t, s, ids[i], text(uint64(i), 700))
				if r.n != 1 {
					t.Errorf("record %d took %d reads", i, r.n)
				}
				r.n = 0
				leaf, err := s.Leaf(t.Context(), ids[i].Seq)
				if want := headerOf(t, fsys, ids[i].Seq)[:ledger.LeafSize]; err != nil || !bytes.Equal(leaf, want) || r.n != 1 {
					t.Errorf("leaf %d took %d reads: %v", i, r.n, err)
				}
			}
			if got := collect(t, s, 0); len(got) != c.records || s.First() != 0 || s.Next() != uint64(c.records)+2 {
				t.Errorf("%d records, up to %d", len(got), s.Next())
			}
			w, err := ledger.OpenReader(fsys, opts)
			if err != nil {
				t.Fatal(err)
			}
			size, root, err := w.Root()
			if n, got := s.Root(); err != nil || n != size || got != root {
				t.Errorf("root %s of %d, not %s of %d (%v)", got, n, root, size, err)
			}
			closeOK(t, w)
			closeOK(t, s)
		})
	}
}

func TestSegmentReaderRefuses(t *testing.T) {
	t.Parallel()
	fsys := durabletest.New()
	opts := options(t)
	object, ids := sealedObject(t, opts, fsys, 5)
	at := func(b []byte, first uint64, o ledger.Options) error {
		_, err := ledger.OpenSegment(bytes.NewReader(b), int64(len(b)), first, o)
		return err
	}
	other := opts
	other.Partition = 4
	flipped := bytes.Clone(object)
	flipped[len(flipped)-200] ^= 1
	for what, err := range map[string]error{
		"nothing": at(nil, 0, opts), "a short one": at(object[:10], 0, opts), "a cut one": at(object[:len(object)-8], 0, opts),
		"another place": at(object, 7, opts), "another ledger": at(object, 0, other), "a damaged seal": at(flipped, 0, opts),
	} {
		if mail.KindOf(err) != mail.Corrupt {
			t.Errorf("%s: %v", what, err)
		}
	}
	r := &requests{ReaderAt: bytes.NewReader(object), fail: errors.New("503 Slow Down")}
	if _, err := ledger.OpenSegment(r, int64(len(object)), 0, opts); mail.KindOf(err) != mail.Temporary || !errors.Is(err, r.fail) {
		t.Errorf("a store that fails: %v", err)
	}
	r.fail = nil
	s, err := ledger.OpenSegment(r, int64(len(object)), 0, opts)
	if err != nil {
		t.Fatal(err)
	}
	r.fail = errors.New("connection reset")
	if _, err := s.Raw(t.Context(), ids[2]); mail.KindOf(err) != mail.Temporary {
		t.Errorf("a store that fails later: %v", err)
	}
	r.fail = nil
	wantRaw(t, s, ids[2], text(2, 700))
	if _, err := s.Raw(t.Context(), mail.ID{Seq: 999}); mail.KindOf(err) != mail.NotFound {
		t.Errorf("a record of another segment: %v", err)
	}
	closeOK(t, s)
}
