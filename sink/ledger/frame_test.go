package ledger

import (
	"bytes"
	"encoding/binary"
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
	s := seal{offsets: []uint64{0}, size: 1, peaks: []hash32{{1}}, root: hash32{1}}
	return []*Entry{msg, ref, ev, bookkeeping(typeOpen, []byte("{}"), nil), bookkeeping(typeSeal, []byte("{}"), s.encode())}
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
