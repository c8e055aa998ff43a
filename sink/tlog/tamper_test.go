package tlog_test

import (
	"encoding/binary"
	"encoding/json"
	"flag"
	"hash/crc32"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/ledger"
	"github.com/mailkeep/mailkeep/sink/tlog"
)

var update = flag.Bool("update", false, "write the golden files anew")

const identity = `{"format":1,"archive":"` + archive + `","partitions":1,"created":"2026-01-02T03:04:05Z"}` + "\n"

// golden makes the small archive of testdata/archive: two segments, three
// checkpoints, what an auditor was given after the second one.
func golden(t testing.TB) (fsys *durabletest.FS, given tlog.Checkpoint) {
	t.Helper()
	fsys = durabletest.New()
	if err := durable.WriteFile(fsys, "ARCHIVE", []byte(identity)); err != nil {
		t.Fatal(err)
	}
	if err := tlog.PublishKey(fsys, key(t), 1); err != nil {
		t.Fatal(err)
	}
	r := started(t, fsys, 8<<10)
	r.grow(t, 3)
	given = r.grow(t, 20)
	r.grow(t, 2)
	if err := r.close(); err != nil {
		t.Fatal(err)
	}
	return fsys, given
}

// onDisk writes an archive where other programs can read it.
func onDisk(t *testing.T, fsys durable.FS) string {
	t.Helper()
	dir := t.TempDir()
	for name, b := range tree(t, fsys, ".") {
		writeFile(t, filepath.Join(dir, name), b)
	}
	return dir
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// verifyPy runs the script. It returns its status and output.
func verifyPy(t *testing.T, args ...string) (int, string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "python3", append([]string{"verify.py"}, args...)...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatalf("run python3, which the tests need: %v", err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// The golden archive is octet for octet what this version writes, and every
// verifier takes it.
func TestGoldenArchive(t *testing.T) {
	t.Parallel()
	fsys, given := golden(t)
	dir := filepath.Join("testdata", "archive")
	files := tree(t, fsys, ".")
	maps.DeleteFunc(files, func(name, _ string) bool { return filepath.Base(name) == "lock" })
	files["given.checkpoint"] = string(given.Note)
	if *update {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		for name, b := range files {
			writeFile(t, filepath.Join(dir, name), b)
		}
	}
	for name, want := range files {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s differs from what is written now (%v); -update writes it anew", name, err)
		}
	}
	wantClean(t, fsys)
	status, out := verifyPy(t, "archive", dir, "--vkey", key(t).VKey(0), "--checkpoint", filepath.Join(dir, "given.checkpoint"))
	if status != 0 || !strings.Contains(out, "all is well") || strings.Contains(out, "note:") {
		t.Errorf("verify.py: %d\n%s", status, out)
	}
}

// Each way to tamper is found by Check and by verify.py.
func TestTampering(t *testing.T) {
	t.Parallel()
	whole, given := golden(t)
	vkey := key(t).VKey(0)
	claim := tlog.Claim{Size: given.Size, Root: given.Root, Where: "an auditor's checkpoint"}
	for name, tamper := range map[string]func(*testing.T, *durabletest.FS){
		"a bit of a body":                  func(t *testing.T, f *durabletest.FS) { flip(t, f, 232+20) },
		"a record altered, checksum right": alterRecord,
		"a record dropped": func(t *testing.T, f *durabletest.FS) {
			rewrite(t, f, key(t), func(all []uint64) []uint64 { return slices.Delete(all, 7, 8) }, false)
		},
		"records reordered": func(t *testing.T, f *durabletest.FS) {
			rewrite(t, f, key(t), func(all []uint64) []uint64 { all[4], all[5] = all[5], all[4]; return all }, false)
		},
		"a record altered, all rewritten and signed with the right key": func(t *testing.T, f *durabletest.FS) {
			rewrite(t, f, key(t), func(all []uint64) []uint64 { all[4] = 99; return all }, true)
		},
		"signed with another key": func(t *testing.T, f *durabletest.FS) {
			other, err := tlog.NewKey(archive)
			if err != nil {
				t.Fatal(err)
			}
			rewrite(t, f, other, func(all []uint64) []uint64 { return all }, true)
		},
		"the ledger rolled back": func(t *testing.T, f *durabletest.FS) {
			rewrite(t, f, key(t), func(all []uint64) []uint64 { return all[:10] }, false)
		},
		"everything rolled back": func(t *testing.T, f *durabletest.FS) {
			rewrite(t, f, key(t), func(all []uint64) []uint64 { return all[:3] }, true)
		},
		"the history cut": func(t *testing.T, f *durabletest.FS) {
			b := tree(t, f, "tlog/0000/checkpoints")["tlog/0000/checkpoints/00000001"]
			end := strings.LastIndex(b, "time ")
			if err := f.Truncate("tlog/0000/checkpoints/00000001", int64(end)); err != nil {
				t.Fatal(err)
			}
		},
		"a segment gone": func(t *testing.T, f *durabletest.FS) {
			for name := range tree(t, f, "ledger") {
				if strings.HasSuffix(name, "0000.seg") {
					if err := f.Remove(name); err != nil {
						t.Fatal(err)
					}
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad := copyOf(whole)
			tamper(t, bad)
			_, found := check(t, bad, claim)
			damage := verifyLedger(t, bad)
			if len(found)+damage == 0 {
				t.Error("neither Check nor the ledger's Verify finds it")
			}
			if name != "a bit of a body" && len(found) == 0 {
				t.Error("Check does not find it")
			}
			dir := onDisk(t, bad)
			checkpoint := filepath.Join(t.TempDir(), "given")
			writeFile(t, checkpoint, string(given.Note))
			status, out := verifyPy(t, "archive", dir, "--vkey", vkey, "--checkpoint", checkpoint)
			if status != 1 || !strings.Contains(out, "FOUND") {
				t.Errorf("verify.py: %d\n%s", status, out)
			}
			t.Logf("%q\n%s", found, out)
		})
	}
}

func verifyLedger(t *testing.T, fsys durable.FS) int {
	t.Helper()
	r, err := ledger.Verify(t.Context(), sub(t, fsys, "ledger/0000"), ledger.VerifyOptions{Archive: archiveID})
	if err != nil {
		t.Fatal(err)
	}
	return r.Damaged
}

const firstSegment = "ledger/0000/0000000000000000.seg"

func flip(t *testing.T, f *durabletest.FS, off int64) {
	t.Helper()
	if err := f.Flip(firstSegment, off, 1); err != nil {
		t.Fatal(err)
	}
}

// alterRecord changes a header and makes its checksum right.
func alterRecord(t *testing.T, f *durabletest.FS) {
	t.Helper()
	b := []byte(tree(t, f, "ledger/0000")[firstSegment])
	second := binary.BigEndian.Uint32(b[8:])
	h := b[second:]
	flip(t, f, int64(second)+96) // another commitment
	h[96] ^= 1 << 1
	want := binary.BigEndian.AppendUint32(nil, crc32.Checksum(h[:224], crc32.MakeTable(crc32.Castagnoli)))
	for i := range 4 {
		for bit := range uint(8) {
			if (want[i]^h[224+i])>>bit&1 == 1 {
				if err := f.Flip(firstSegment, int64(second)+224+int64(i), bit); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// rewrite makes the ledger anew, good in itself, of other messages; with all,
// the log too, signed with the key.
func rewrite(t *testing.T, f *durabletest.FS, k *tlog.Key, choose func([]uint64) []uint64, all bool) {
	t.Helper()
	fake := durabletest.New()
	files := sub(t, fake, "ledger/0000")
	l, err := ledger.Open(files, ledger.Options{Archive: archiveID, SegmentSize: 8 << 10, Now: clock()})
	if err != nil {
		t.Fatal(err)
	}
	numbers := make([]uint64, 25)
	for i := range numbers {
		numbers[i] = uint64(i)
	}
	for _, n := range choose(numbers) {
		b := raw(n)
		e, err := ledger.Message(mail.Delivery{Capture: mail.Capture{Mailbox: "sales"}, Fingerprint: mail.FingerprintOf(b)}, b)
		if err == nil {
			_, err = l.Append(t.Context(), []*ledger.Entry{e})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	size, root := l.Root()
	if all {
		tr, err := tlog.NewTrust(tlog.Origin(archive, 0), k.VKey(0))
		if err != nil {
			t.Fatal(err)
		}
		log, err := tlog.Open(tlog.Options{FS: sub(t, fake, "tlog/0000"), Key: k, Trust: tr, Now: clock()})
		if err != nil {
			t.Fatal(err)
		}
		if err := log.Extend(t.Context(), l, size, root); err != nil {
			t.Fatal(err)
		}
		if _, err := log.Sign(t.Context()); err != nil {
			t.Fatal(err)
		}
		replace(t, f, copyOf(fake), "tlog/0000")
		if err := f.Remove(tlog.VKeyName); err != nil {
			t.Fatal(err)
		}
		if err := tlog.PublishKey(f, k, 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	replace(t, f, fake, "ledger/0000")
}

// A bundle is taken by Check and by verify.py, and none that is altered in any
// part.
func TestBundle(t *testing.T) {
	t.Parallel()
	fsys, given := golden(t)
	v := tlog.NewView(sub(t, fsys, "tlog/0000"), trust(t))
	b := bundleOf(t, v, 7, raw(4), given)
	dir := t.TempDir()
	eml := filepath.Join(dir, "message.eml")
	writeFile(t, eml, string(raw(4)))
	try := func(name string, b tlog.Bundle, good bool) {
		t.Helper()
		text, err := b.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		read, err := tlog.ParseBundle(text)
		if err == nil {
			_, err = read.Check(trust(t), nil)
		}
		if (err == nil) != good {
			t.Errorf("%s: %v", name, err)
		}
		file := filepath.Join(dir, "bundle.json")
		writeFile(t, file, string(text))
		status, out := verifyPy(t, "proof", file, eml, "--vkey", key(t).VKey(0))
		if (status == 0) != good {
			t.Errorf("%s: verify.py: %d\n%s", name, status, out)
		}
	}
	try("good", b, true)
	alter := func(name string, change func(*tlog.Bundle)) {
		c := b
		c.Leaf = slices.Clone(b.Leaf)
		change(&c)
		try(name, c, false)
	}
	alter("leaf", func(b *tlog.Bundle) { b.Leaf[30]++ })
	alter("commitment", func(b *tlog.Bundle) { b.Leaf[100]++ })
	alter("digest", func(b *tlog.Bundle) { b.Opening.Digest[0]++ })
	alter("size", func(b *tlog.Bundle) { b.Opening.Size++ })
	alter("id", func(b *tlog.Bundle) { b.ID.Seq++ })
	alter("path", func(b *tlog.Bundle) { b.Proof = strings.Replace(b.Proof, "\nindex 7\n", "\nindex 6\n", 1) })
	alter("root", func(b *tlog.Bundle) { b.Proof = strings.Replace(b.Proof, "/0\n2", "/0\n1", 1) })
	alter("signature", func(b *tlog.Bundle) { b.Proof = b.Proof[:len(b.Proof)-8] + "AAAAAA=\n" })
	writeFile(t, eml, string(raw(5)))
	text, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "bundle.json")
	writeFile(t, file, string(text))
	if status, out := verifyPy(t, "proof", file, eml); status != 1 {
		t.Errorf("another message: %d\n%s", status, out)
	}
}

// bundleOf is the bundle of a message of one record.
func bundleOf(t testing.TB, v *tlog.View, seq uint64, raw []byte, c tlog.Checkpoint) tlog.Bundle {
	t.Helper()
	leaf, err := v.Leaf(seq, c)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := v.Inclusion(seq, c)
	if err != nil {
		t.Fatal(err)
	}
	return tlog.Bundle{
		Format: "mailkeep-proof/1", ID: mail.ID{Seq: seq}, Origin: c.Origin, Key: key(t).VKey(0), Leaf: leaf,
		Opening: tlog.Opening{Digest: mail.DigestOf(raw), Size: uint64(len(raw))}, Proof: string(proof.Marshal()),
	}
}
