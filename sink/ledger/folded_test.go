package ledger_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

// The codecs of bodies whose content was folded, without a dictionary and with.
const (
	foldedPlain = 5
	foldedDict  = 6
)

// attached is a message with an attachment of n octets, in lines of base64.
func attached(seed uint64, n int) []byte {
	b := fmt.Appendf(nil, "From: clerk-%d@example.org\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nAs attached.\r\n"+
		"--b\r\nContent-Transfer-Encoding: base64\r\n\r\n", seed)
	text := base64.StdEncoding.EncodeToString(noise(seed, n))
	for line := range slices.Chunk([]byte(text), 76) {
		b = append(append(b, line...), "\r\n"...)
	}
	return append(b, "--b--\r\n"...)
}

// What has base64 in it is folded, stored in fewer octets, and read back as it
// was: whole and in parts, small and in chunks, with all means and without.
func TestFolded(t *testing.T) {
	t.Parallel()
	raws := [][]byte{attached(1, 3000), attached(2, 100_000), attached(3, 7<<20), text(4, 5000)}
	for _, secret := range []bool{false, true} {
		fsys := durabletest.New()
		opts, codec := options(t), byte(foldedPlain)
		if secret {
			opts, codec = sealing(t, fsys, master(t, testKey)), foldedDict
		}
		l := open(t, fsys, opts)
		var ids []mail.ID
		for _, raw := range raws {
			e := ledger.LargeMessage(delivery("sales", raw), bytes.NewReader(raw))
			ids = append(ids, appendOK(t, l, e)[0].ID)
		}
		for i, id := range ids {
			wantRaw(t, l, id, raws[i])
			wantParts(t, l, id, raws[i])
		}
		closeOK(t, l)
		if _, damage := judge(t, fsys, opts); len(damage) > 0 {
			t.Errorf("damage: %+v", damage)
		}
		for i, id := range ids {
			h := headerOf(t, fsys, id.Seq)
			if folded := h[5] == codec; folded != (i < 3) {
				t.Errorf("message %d has codec %d", i, h[5])
			}
			if stored := int(be32(h[12:])); i == 1 && stored > 101_000 {
				t.Errorf("an attachment of 100,000 octets takes %d", stored)
			}
		}
	}
}

// wantParts reads ranges of a message.
func wantParts(t *testing.T, l rawer, id mail.ID, want []byte) {
	t.Helper()
	r, err := l.Raw(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer closeOK(t, r)
	rng := rand.New(rand.NewPCG(1, uint64(len(want))))
	for range 12 {
		at := rng.IntN(len(want))
		got := make([]byte, min(1+rng.IntN(3000), len(want)-at))
		if _, err := r.ReadAt(got, int64(at)); err != nil || !bytes.Equal(got, want[at:at+len(got)]) {
			t.Fatalf("%d octets at %d of %s differ, %v", len(got), at, id, err)
		}
	}
}

// A message of any size, all of it base64, takes the memory of a few chunks.
func TestLargeAttachmentTakesLittleMemory(t *testing.T) {
	const size, allowed = 60<<20 + 5, 150 << 20
	block := attached(1, 57*20_000)
	block = block[bytes.Index(block, []byte("base64\r\n\r\n"))+10:]
	block = block[:78*20_000]
	source := func() io.Reader { return &endless{block: block, n: size} }
	sum := mail.NewFingerprinter()
	if _, err := io.Copy(sum, source()); err != nil {
		t.Fatal(err)
	}
	fsys, err := durable.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	d := delivery("sales", nil)
	d.Fingerprint = sum.Sum()
	peak := watchHeap(t)
	l := open(t, fsys, options(t))
	id := appendOK(t, l, ledger.LargeMessage(d, source()))[0].ID
	peak("append", allowed)
	raw, err := l.Raw(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	got := mail.NewFingerprinter()
	if _, err := io.Copy(got, io.NewSectionReader(raw, 0, raw.Size())); err != nil || got.Sum() != d.Fingerprint {
		t.Errorf("it reads as %+v, %v", got.Sum(), err)
	}
	closeOK(t, raw)
	closeOK(t, l)
	peak("read", allowed)
	wantClean(t, fsys)
	peak("verify", allowed)
	closeOK(t, fsys)
}

// Each octet of a folded body that is flipped is found, and so is each cut of it.
func TestFoldedDamage(t *testing.T) {
	t.Parallel()
	fsys := durabletest.New()
	opts := options(t)
	l := open(t, fsys, opts)
	id := appendOK(t, l, message(t, attached(1, 2000)))[0].ID
	closeOK(t, l)
	name, h := segments(t, fsys)[0], headerOf(t, fsys, id.Seq)
	off := bytes.Index(slurp(t, fsys, name), h)
	if h[5] != foldedPlain {
		t.Fatalf("codec %d", h[5])
	}
	for at := 5; at < int(be32(h[8:])); at += 7 {
		bad := fsys.Crash(0, 1)
		if err := bad.Flip(name, int64(off+at), uint(at%8)); err != nil {
			t.Fatal(err)
		}
		if damage := verify(t, bad); len(damage) == 0 || damage[0].Seq != id.Seq {
			t.Fatalf("octet %d of the record was flipped: %+v", at, damage)
		}
	}
}

// A ledger with folded bodies, byte for byte what is written today, reads back.
func TestGoldenFolded(t *testing.T) {
	t.Parallel()
	fsys := durabletest.New()
	opts := options(t)
	opts.Dictionary = mailDictionary(t)
	l := open(t, fsys, opts)
	raws := [][]byte{attached(1, 1000), attached(2, 500), text(3, 700)}
	var batch []*ledger.Entry
	for i, raw := range raws {
		k := l.Maker()
		if i == 1 {
			k = ledger.Maker{}
		}
		e, err := k.Message(delivery("sales", raw), raw)
		if err != nil {
			t.Fatal(err)
		}
		batch = append(batch, e)
	}
	sealed := appendOK(t, l, batch...)
	closeOK(t, l)
	golden(t, filepath.Join("folded", "0000000000000000.seg"), slurp(t, fsys, "0000000000000000.seg"))

	fsys = fromTestdata(t, "folded")
	r, err := ledger.OpenReader(fsys, opts)
	if err != nil {
		t.Fatal(err)
	}
	for i, codec := range []byte{foldedDict, foldedPlain, 2} {
		wantRaw(t, r, sealed[i].ID, raws[i])
		if h := headerOf(t, fsys, sealed[i].ID.Seq); h[5] != codec {
			t.Errorf("message %d has codec %d, not %d", i, h[5], codec)
		}
	}
	closeOK(t, r)
	if _, damage := judge(t, fsys, opts); len(damage) > 0 {
		t.Errorf("damage: %+v", damage)
	}
}
