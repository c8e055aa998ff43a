package ledger

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/mail"
)

// The peaks give the same root as the tree of the reference implementation.
func TestTree(t *testing.T) {
	t.Parallel()
	var mine tree
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(at))
		for i, x := range at {
			out[i] = stored[x]
		}
		return out, nil
	})
	for n := range int64(200) {
		if n > 0 {
			want, err := tlog.TreeHash(n, reader)
			if err != nil {
				t.Fatal(err)
			}
			if got := mine.root(); got != hash32(want) {
				t.Fatalf("root of %d leaves is %x, not %s", n, got, want)
			}
			if len(mine.peaks) != peakCount(uint64(n)) {
				t.Fatalf("%d peaks for %d leaves", len(mine.peaks), n)
			}
		}
		leaf := binary.BigEndian.AppendUint64(nil, uint64(n))
		hashes, err := tlog.StoredHashes(n, leaf, reader)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, hashes...)
		mine.add(hash32(tlog.RecordHash(leaf)))
	}
}

func TestHeaderRoundTrip(t *testing.T) {
	t.Parallel()
	h := header{
		typ: typeChunk, codec: 2, dict: 19, cipher: 1, flags: flagLast, bodyLen: 100, frameLen: frameLen(100), seq: 7, time: 8,
		stream: [16]byte{1}, segment: 9, class: 10, tenant: 11, key: 12, plainLen: 13, firstSeq: 5, nonce: [12]byte{14},
		chunk: 2, cmt: hash32{15}, bodySum: hash32{16}, metaCmt: hash32{17}, prev: hash32{18},
	}
	b := h.appendTo(nil)
	got, _, err := parseHeader(b)
	if err != nil || got != h || len(b) != headerSize {
		t.Fatalf("%+v, %v", got, err)
	}
	for i := range b {
		for bit := range 8 {
			bad := bytes.Clone(b)
			bad[i] ^= 1 << bit
			if _, _, err := parseHeader(bad); err == nil {
				t.Errorf("bit %d of octet %d may be flipped", bit, i)
			}
		}
	}
}

// FuzzFrame gives arbitrary octets, with a checksum that fits, to all that
// reads frames: it must not panic, nor take more memory than the limits.
func FuzzFrame(f *testing.F) {
	stream := streamID([16]byte{1}, 0)
	for _, e := range fuzzEntries(f) {
		c := newChain(stream)
		s := &segmentFile{}
		if _, err := s.add(&c, e, e.header(flagFirst|flagLast), func() time.Time { return time.Unix(0, 1) }); err != nil {
			f.Fatal(err)
		}
		f.Add(s.buf, true)
		f.Add(s.buf[:len(s.buf)-9], false)
	}
	f.Fuzz(func(t *testing.T, b []byte, fix bool) {
		if fix && len(b) >= headerSize {
			b = bytes.Clone(b)
			if n := binary.BigEndian.Uint32(b[12:]); int(n) <= len(b)-headerSize {
				sum := sha(b[headerSize : headerSize+int(n)])
				copy(b[128:], sum[:])
			}
			binary.BigEndian.PutUint32(b[leafSize:], checksum(b))
			clear(b[leafSize+4 : headerSize])
		}
		readAnything(t, b, stream)
	})
}

func fuzzEntries(f *testing.F) []*Entry {
	raw := []byte("A: b\r\n\r\nc")
	d := mail.Delivery{Fingerprint: mail.FingerprintOf(raw)}
	msg, err1 := Message(d, raw)
	ref, err2 := Reference(d, mail.ID{}, false)
	ev, err3 := Event(mail.Event{Type: "x"})
	if err1 != nil || err2 != nil || err3 != nil {
		f.Fatal(err1, err2, err3)
	}
	folded := bent(f, func([]byte) {})
	s := seal{offsets: []uint64{0}, size: 1, peaks: []hash32{{1}}, root: hash32{1}}
	return []*Entry{msg, ref, ev, folded, bookkeeping(typeOpen, []byte("{}"), nil), bookkeeping(typeSeal, []byte("{}"), s.encode())}
}

// bent makes the entry of a message with base64 whose folded content was changed
// before it was compressed: its hash and all that the header says fit.
func bent(t testing.TB, change func(folded []byte)) *Entry {
	t.Helper()
	raw := append([]byte("A: b\r\n\r\n"), bytes.Repeat([]byte("QUJDREVGR0hJSktMTU5PUFFSU1RVVldY\r\n"), 20)...)
	e, err := Message(mail.Delivery{Fingerprint: mail.FingerprintOf(raw)}, raw)
	if err != nil {
		t.Fatal(err)
	}
	if e.codec != codecZstd|codecFolded {
		t.Fatalf("codec %d", e.codec)
	}
	inside, err := plain.inflate(nil, e.body, e.plainLen)
	if err != nil {
		t.Fatal(err)
	}
	prefix := 4 + binary.BigEndian.Uint32(inside)
	change(inside[prefix:])
	p := plain.packers.Get().(*packer)
	defer plain.packers.Put(p)
	if e.body, err = p.pack(p.encoder(true), 0, inside[:prefix], inside[prefix:]); err != nil {
		t.Fatal(err)
	}
	e.bodySum = sha(e.body)
	return e
}

// A body whose hash is good and whose content does not unfold, or to something
// else, is found where content is verified, and no reader is given it.
func TestBentContent(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func([]byte)
		want   string // the finding says so
	}{
		{"nothing", func([]byte) {}, ""},
		{"number of runs", func(b []byte) { b[3] = 9 }, "malformed"},
		{"gap", func(b []byte) { b[7] = 200 }, "lacks"},
		{"octets", func(b []byte) { b[11]++ }, "folded content"},
		{"line", func(b []byte) { b[13] = 24 }, "folded content is of"},
		{"end", func(b []byte) { b[14] = 3 }, "malformed"},
		{"another end", func(b []byte) { b[14] = 1 }, "folded content is of"},
		{"literal", func(b []byte) { b[16] ^= 1 }, "commitment"},
		{"payload", func(b []byte) { b[len(b)-1] ^= 1 }, "commitment"},
		{"place of the run", func(b []byte) { b[7]-- }, "commitment"},
	} {
		fsys := durabletest.New()
		opts := Options{Archive: [16]byte{1}, Now: time.Now}
		l, err := Open(fsys, opts)
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := l.Append(t.Context(), []*Entry{bent(t, tc.change)})
		if err != nil || sealed[0].Err != nil {
			t.Fatal(err, sealed[0].Err)
		}
		raw, rawErr := l.Raw(t.Context(), sealed[0].ID)
		if (rawErr == nil) != (tc.want == "") || rawErr != nil && mail.KindOf(rawErr) != mail.Corrupt {
			t.Errorf("%s: read: %v", tc.name, rawErr)
		}
		if rawErr == nil {
			_ = raw.Close()
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		var got []Finding
		_, err = Verify(t.Context(), fsys, VerifyOptions{Archive: opts.Archive, Found: func(f Finding) { got = append(got, f) }})
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case tc.want == "":
			if len(got) > 0 {
				t.Errorf("%s: %+v", tc.name, got)
			}
		case len(got) != 1 || got[0].Kind != FoundContent || got[0].Seq != sealed[0].ID.Seq || !strings.Contains(got[0].Detail, tc.want):
			t.Errorf("%s: %+v", tc.name, got)
		}
	}
}

func readAnything(t *testing.T, b []byte, stream [16]byte) {
	fsys := durabletest.New()
	lib := library{}
	for _, name := range []string{openName(0), sealedName(1 << 40)} {
		file, err := fsys.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.Write(b); err != nil {
			t.Fatal(err)
		}
		_, _, _ = loadSeal(file, 0)
		s := scan{chain: newChain(stream)}
		if err := s.resume(file, int64(len(b))); err != nil {
			t.Fatalf("scan of octets in memory: %v", err)
		}
		w := newWindow(file)
		if h, _, err := w.header(0); err == nil {
			open, err := lib.opening(file, 0).means(t.Context(), &h)
			if err != nil {
				continue // no such key or dictionary
			}
			if body, err := w.body(0, &h); err == nil {
				d, err := open.decode(new(scratch), &h, body)
				if err == nil && uint64(len(d.raw)) != h.plainLen {
					t.Errorf("%d octets of %d decoded, %d of metadata", len(d.raw), h.plainLen, len(d.meta))
				}
			}
			_, _, _ = w.note(0, &h, open)
		}
	}
	if _, err := Verify(t.Context(), fsys, VerifyOptions{}); err != nil {
		t.Fatalf("verify: %v", err)
	}
}
