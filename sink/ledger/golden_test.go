package ledger_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

// The ledgers in testdata read back: one with a dictionary, byte for byte what is
// written today, and one that is encrypted under the master key of the tests, which
// random secrets and nonces make different each time. -update writes them anew. The
// one in unsized was written when zstd frames did not tell their length.
func TestGoldenWithMeans(t *testing.T) {
	t.Parallel()
	raw := []byte("From: a@example.org\r\nSubject: hello\r\n\r\nHello,\r\nworld.\r\n")
	big := text(1, 4000)
	write := func(l *ledger.Ledger) {
		k := l.Maker()
		first, err := k.Message(delivery("sales", raw), raw)
		if err != nil {
			t.Fatal(err)
		}
		id := appendOK(t, l, first)[0].ID
		ref, err1 := k.Reference(delivery("accounts", raw), id, false)
		second, err2 := k.Message(delivery("sales", big), big)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		appendOK(t, l, ref, second)
		closeOK(t, l)
	}
	plain := durabletest.New()
	opts := options(t)
	opts.Dictionary = mailDictionary(t)
	write(open(t, plain, opts))
	golden(t, filepath.Join("dictionary", "0000000000000000.seg"), slurp(t, plain, "0000000000000000.seg"))

	if *update {
		secret := durabletest.New()
		write(open(t, secret, sealing(t, secret, master(t, testKey))))
		for _, name := range []string{"0000000000000000.seg", "0000000000000000.keys"} {
			golden(t, filepath.Join("encrypted", name), slurp(t, secret, name))
		}
		golden(t, filepath.Join("encrypted", "master.key"), []byte(testKey+"\n"))
	}
	for _, dir := range []string{"dictionary", "encrypted", "unsized"} {
		fsys := fromTestdata(t, dir)
		opts := sealing(t, fsys, master(t, testKey))
		r, err := ledger.OpenReader(fsys, opts)
		if err != nil {
			t.Fatal(err)
		}
		recs := collect(t, r, 0)
		if len(recs) != 3 {
			t.Fatalf("%s: %d records", dir, len(recs))
		}
		wantRaw(t, r, recs[0].ID, raw)
		wantRaw(t, r, recs[1].ID, raw)
		wantRaw(t, r, recs[2].ID, big)
		closeOK(t, r)
		if _, damage := judge(t, fsys, opts); len(damage) > 0 {
			t.Errorf("%s: %+v", dir, damage)
		}
	}
}

// fromTestdata copies a directory of testdata.
func fromTestdata(t *testing.T, dir string) *durabletest.FS {
	t.Helper()
	fsys := durabletest.New()
	root := os.DirFS(filepath.Join("testdata", dir))
	entries, err := fs.ReadDir(root, ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := fs.ReadFile(root, e.Name())
		if err != nil {
			t.Fatal(err)
		}
		f, err := fsys.Create(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(b); err != nil {
			t.Fatal(err)
		}
		closeOK(t, f)
	}
	return fsys
}
