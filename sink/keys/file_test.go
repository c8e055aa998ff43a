package keys_test

import (
	"bytes"
	"errors"
	"flag"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/keys"
)

var update = flag.Bool("update", false, "write the golden files")

// The golden files are a file of KEKs and the key file of segment 7 of
// partition 2, whose secret is the octets 0 to 31 and whose keys 5 and 70 are
// erased.
const goldenFirst = 0x1234

var goldenArchive = [16]byte{0xde, 0xad, 0xbe, 0xef, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}

func goldenTree(t testing.TB) *keys.Tree {
	t.Helper()
	tree := keys.TreeOf(rootSecret(0))
	if err := tree.Puncture(5, 70); err != nil {
		t.Fatal(err)
	}
	return tree
}

func goldenDir(fsys durable.FS) *keys.Dir {
	at := func() time.Time { return time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC) }
	return &keys.Dir{FS: fsys, Archive: goldenArchive, Partition: 2, Wrapper: keys.NewKEKFile(fsys, "keks", at)}
}

func writeGolden(t *testing.T) {
	t.Helper()
	fsys := durabletest.New()
	d := goldenDir(fsys)
	w := d.Wrapper.(*keys.KEKFile)
	if err := w.Generate(); err != nil {
		t.Fatal(err)
	}
	newEpoch(t, w, group, newEpoch(t, w, group, 0).Version)
	if err := w.DestroyEpoch(t.Context(), keys.Epoch{Group: group, Version: 1}); err != nil {
		t.Fatal(err)
	}
	if err := d.CreateOf(t.Context(), goldenFirst, 7, group, goldenTree(t)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"keks", keys.FileName(goldenFirst)} {
		b, err := durable.ReadFile(fsys, name)
		if err == nil {
			err = os.WriteFile(filepath.Join("testdata", name), b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// golden returns a file system with the golden files, of mode 0600.
func golden(t testing.TB) *durabletest.FS {
	t.Helper()
	fsys := durabletest.New()
	for _, name := range []string{"keks", keys.FileName(goldenFirst)} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err == nil {
			err = durable.WriteFile(fsys, name, b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return fsys
}

// TestGolden: what was written once can always be read.
func TestGolden(t *testing.T) {
	t.Parallel()
	if *update {
		writeGolden(t)
	}
	fsys := golden(t)
	tree, err := goldenDir(fsys).Load(t.Context(), goldenFirst, 7)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(tree.Encode(), goldenTree(t).Encode()) {
		t.Error("the golden key file holds another tree")
	}
	files, err := goldenDir(fsys).List()
	want := []keys.File{{First: goldenFirst, Segment: keys.Segment{Archive: goldenArchive, Partition: 2, Number: 7}, Epoch: keys.Epoch{Group: group, Version: 2}}}
	if d := cmp.Diff(want, files); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
	for name, again := range map[string]func([]byte) ([]byte, error){"keks": keys.ReencodeKEKs, keys.FileName(goldenFirst): keys.ReencodeFile} {
		b, err := durable.ReadFile(fsys, name)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := again(b); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%s is written in another way: %v", name, err)
		}
	}
}

// TestKeyFileDamage: every cut and every changed bit is found, and none gives
// another tree.
func TestKeyFileDamage(t *testing.T) {
	t.Parallel()
	fsys := golden(t)
	name := keys.FileName(goldenFirst)
	b, err := durable.ReadFile(fsys, name)
	if err != nil {
		t.Fatal(err)
	}
	d := goldenDir(fsys)
	try := func(what string, at int, change []byte, kinds ...mail.Kind) {
		t.Helper()
		if err := durable.WriteFile(fsys, name, change); err != nil {
			t.Fatal(err)
		}
		_, err := d.Load(t.Context(), goldenFirst, 7)
		for _, k := range kinds {
			if mail.KindOf(err) == k {
				return
			}
		}
		t.Fatalf("%s at %d: %v", what, at, err)
	}
	for i := range b {
		try("cut", i, b[:i], mail.Corrupt)
		bad := bytes.Clone(b)
		bad[i] ^= 1 << rand.IntN(8)
		try("changed", i, bad, mail.Corrupt, mail.Invalid)
		// As somebody would who can compute a checksum.
		body := bad[:len(b)-4]
		sum := crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli))
		forged := append(bytes.Clone(body), byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum))
		if i < len(b)-4 {
			try("forged", i, forged, mail.Corrupt, mail.Invalid, mail.Denied, mail.NotFound)
		}
	}
	try("longer", len(b), append(bytes.Clone(b), 0), mail.Corrupt)
	version := bytes.Clone(b)
	version[5] = 2
	try("a later version", 5, version, mail.Invalid)
}

// TestKeyFileOfAnotherSegment: a file cannot be passed off as that of another
// segment, even by somebody who writes its head anew.
func TestKeyFileOfAnotherSegment(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	d := w.dirs[0]
	b, err := durable.ReadFile(d.FS, keys.FileName(0))
	if err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(d.FS, keys.FileName(500), b); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Load(t.Context(), 500, 2); mail.KindOf(err) != mail.Corrupt {
		t.Errorf("as it is: %v", err)
	}
	b[35] = 2 // the segment's number
	sum := crc32.Checksum(b[:len(b)-4], crc32.MakeTable(crc32.Castagnoli))
	b = append(b[:len(b)-4], byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum))
	if err := durable.WriteFile(d.FS, keys.FileName(500), b); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Load(t.Context(), 500, 2); mail.KindOf(err) != mail.Corrupt {
		t.Errorf("with another head: %v", err)
	}
}

// TestSourceThatLies: a key file is never replaced by what does not open again
// as the same.
func TestSourceThatLies(t *testing.T) {
	t.Parallel()
	single := func(text string) func(string, int, any) (int, any) {
		return func(path string, status int, data any) (int, any) {
			if m, ok := data.(map[string]any); ok && m["ciphertext"] != nil {
				return status, map[string]any{"ciphertext": text}
			}
			return status, data
		}
	}
	batch := func(change func([]map[string]any) []map[string]any) func(string, int, any) (int, any) {
		return func(path string, status int, data any) (int, any) {
			if m, ok := data.(map[string]any); ok && strings.Contains(path, "rewrap/") {
				m["batch_results"] = change(m["batch_results"].([]map[string]any))
			}
			return status, data
		}
	}
	erase := func(w *world) error {
		_, err := keys.Erase(t.Context(), w.dirs, []keys.Erasure{{0, 0, []uint32{9}}})
		return err
	}
	rotate := func(w *world) error {
		_, err := keys.Rotate(t.Context(), w.dirs, group)
		return err
	}
	for what, tc := range map[string]struct {
		do     func(*world) error
		tamper func(string, int, any) (int, any)
	}{
		"something else":     {erase, single("vault:v2:AAAA")},
		"another version":    {erase, single("vault:v1:AAAA")},
		"nothing":            {erase, single("")},
		"no results":         {rotate, batch(func([]map[string]any) []map[string]any { return nil })},
		"swapped results":    {rotate, batch(func(r []map[string]any) []map[string]any { r[0], r[1] = r[1], r[0]; return r })},
		"the same for all":   {rotate, batch(func(r []map[string]any) []map[string]any { r[1] = r[0]; return r })},
		"one failed":         {rotate, batch(func(r []map[string]any) []map[string]any { r[2] = map[string]any{"error": "no"}; return r })},
		"a changed secret":   {rotate, secondDecryptLies()},
		"not its own format": {rotate, func(_ string, status int, _ any) (int, any) { return status, "text" }},
	} {
		server := newTransit(t)
		w := newWorld(t, vault(t, server))
		before := w.files(t)
		server.do(func() { server.tamper = tc.tamper })
		err := tc.do(w)
		server.do(func() { server.tamper = nil })
		if err == nil {
			t.Errorf("%s: believed", what)
		}
		if d := cmp.Diff(before, w.files(t)); d != "" {
			t.Errorf("%s: %s", what, d)
		}
		w.check(t, what, nil)
	}
}

// secondDecryptLies changes what the box of a rewrap opens to.
func secondDecryptLies() func(string, int, any) (int, any) {
	calls := 0
	return func(path string, status int, data any) (int, any) {
		if !strings.Contains(path, "decrypt/") {
			return status, data
		}
		if calls++; calls == 2 {
			data.(map[string]any)["batch_results"].([]map[string]any)[0]["plaintext"] = "AAAA"
		}
		return status, data
	}
}

func FuzzKeyFile(f *testing.F) {
	b, err := os.ReadFile(filepath.Join("testdata", keys.FileName(goldenFirst)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:44])
	f.Fuzz(func(t *testing.T, b []byte) {
		again, err := keys.ReencodeFile(b)
		if err == nil && !bytes.Equal(again, b) {
			t.Fatal("a key file changed when it was read and written")
		}
		if k := mail.KindOf(err); err != nil && k != mail.Corrupt && k != mail.Invalid {
			t.Fatal(err)
		}
	})
}

func FuzzNodeSet(f *testing.F) {
	tree := keys.TreeOf(rootSecret(0))
	f.Add(tree.Encode())
	if err := tree.Puncture(5, 70); err != nil {
		f.Fatal(err)
	}
	f.Add(tree.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		tree, err := keys.ParseTree(b)
		if err != nil {
			return
		}
		if !bytes.Equal(tree.Encode(), b) {
			t.Fatal("a node set changed when it was read and written")
		}
		for _, i := range []uint32{0, 5, 70, keys.Leaves - 1} {
			if _, err := tree.Key(i); tree.Erased(i) != errors.Is(err, keys.ErrErased) {
				t.Fatalf("key %d: %v", i, err)
			}
		}
		if err := tree.Puncture(5, 6); err != nil || !tree.Erased(5) {
			t.Fatal(err)
		}
	})
}
