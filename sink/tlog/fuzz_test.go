package tlog

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/mailkeep/mailkeep/mail"
)

// The paths are those of c2sp.org/tlog-tiles, with its own examples.
func TestTilePath(t *testing.T) {
	t.Parallel()
	for want, tile := range map[string]tlog.Tile{
		"tile/0/x001/x234/067":       {H: 8, L: 0, N: 1234067, W: 256},
		"tile/0/273.p/112":           {H: 8, L: 0, N: 273, W: 112},
		"tile/2/000.p/1":             {H: 8, L: 2, N: 0, W: 1},
		"tile/entries/x001/000":      {H: 8, L: entriesLevel, N: 1000, W: 256},
		"tile/entries/x001/000.p/17": {H: 8, L: entriesLevel, N: 1000, W: 17},
	} {
		if got := tilePath(tile); got != want {
			t.Errorf("%s, not %s", got, want)
		}
	}
}

func goldenFile(f *testing.F, name string) []byte {
	f.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "archive", name))
	if err != nil {
		f.Fatal(err)
	}
	return b
}

// What ParseProof takes, it writes again to the letter, but for extra data.
func FuzzParseProof(f *testing.F) {
	checkpoint := goldenFile(f, "given.checkpoint")
	f.Add(Proof{Index: 3, Hashes: make([]mail.Digest, 2), Checkpoint: checkpoint}.Marshal())
	f.Add([]byte("c2sp.org/tlog-proof@v1\nextra AAAA\nindex 0\n\n" + string(checkpoint)))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseProof(b)
		if err != nil {
			return
		}
		if out := p.Marshal(); !bytes.Equal(out, b) && !strings.Contains(string(b), "\nextra ") {
			t.Errorf("%q became %q", b, out)
		}
		_, _ = p.Check(Trust{}, nil) // must not panic
	})
}

// Reading the history never panics, and never reads more than it is given.
func FuzzReadEntry(f *testing.F) {
	f.Add(goldenFile(f, "tlog/0000/checkpoints/00000001"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bufio.NewReader(bytes.NewReader(b))
		total := 0
		for {
			e, err := readEntry(r)
			if err != nil {
				return
			}
			if total += len(e.signed); total > len(b) {
				t.Fatal("more was read than is there")
			}
		}
	})
}

func FuzzParseBundle(f *testing.F) {
	f.Add([]byte(`{"format":"mailkeep-proof/1","id":"0-1","leaf":"AAAA","opening":{"digest":"","size":1,"key":""},"proof":""}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := ParseBundle(b); err == nil {
			_, _ = p.Check(Trust{}, func([]byte, []byte) (Stamp, error) { return Stamp{}, nil })
		}
	})
}

func FuzzOpenStamp(f *testing.F) {
	f.Add([]byte{0x30, 3, 2, 1, 0}, []byte("data"))
	f.Fuzz(func(t *testing.T, response, data []byte) {
		if s, err := OpenStamp(response, data, nil); err == nil && s.Time.IsZero() {
			t.Error("a stamp without a time")
		}
	})
}

func FuzzWitnessAnswer(f *testing.F) {
	f.Add([]byte("12\n"), []byte("— w AAAA\n"))
	f.Fuzz(func(t *testing.T, size, lines []byte) {
		w := &Witness{key: &cosigner{name: "w", key: make([]byte, 32)}}
		c := Checkpoint{Size: 5, Note: []byte("o\n5\nAAAA\n\n— o AAAA\n")}
		if err := w.learn(size, c); err == nil && w.seen > c.Size {
			t.Error("it has seen more than there is")
		}
		if _, err := w.take(c, lines); err == nil {
			t.Error("a cosignature by nobody")
		}
	})
}
