package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/internal/app"
	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/lab"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

// A tampered archive is a copy of one, to do harm to.
type tampered struct {
	*site
	good string
}

// again puts the good copy back.
func (x *tampered) again() {
	x.t.Helper()
	x.replace(x.archive(), x.good)
}

// replace makes the tree to a copy of the tree from.
func (x *tampered) replace(to, from string) {
	x.t.Helper()
	// Sockets cannot be copied; no process runs.
	if err := errors.Join(os.RemoveAll(filepath.Join(from, "run")), os.RemoveAll(to), os.CopyFS(to, os.DirFS(from))); err != nil {
		x.t.Fatal(err)
	}
	// os.CopyFS gives private keys to everybody.
	if err := os.Chmod(filepath.Join(to, "keys/checkpoint.key"), 0o600); err != nil && to == x.archive() {
		x.t.Fatal(err)
	}
}

// firstSegment returns the path and the frames of the first segment: what lies
// between its first record and its seal.
func (x *tampered) frames() (path string, frames [][]byte, rest []byte) {
	x.t.Helper()
	path = filepath.Join(x.archive(), "ledger/0000/0000000000000000.seg")
	b, err := os.ReadFile(path)
	if err != nil {
		x.t.Fatal(err)
	}
	for len(b) > 16 && b[4] != 0x7f {
		n := binary.BigEndian.Uint32(b[8:])
		frames, b = append(frames, b[:n]), b[n:]
	}
	if len(frames) < 5 {
		x.t.Fatalf("only %d records", len(frames))
	}
	return path, frames, b
}

// write replaces the first segment.
func (x *tampered) write(path string, frames [][]byte, rest []byte) {
	x.t.Helper()
	b := append(slices.Concat(frames...), rest...)
	if err := errors.Join(os.Remove(path), os.WriteFile(path, b, 0o444)); err != nil {
		x.t.Fatal(err)
	}
}

// rewrite makes a ledger of the same archive that leaves out a message: all its
// hashes and its seals are right.
func (x *tampered) rewrite(leaveOut int) {
	x.t.Helper()
	old, closeOld := x.openLedger()
	defer closeOld()
	fresh := filepath.Join(x.dir, "fresh")
	files, err := durable.MakeDir(fresh)
	if err != nil {
		x.t.Fatal(err)
	}
	defer files.Close()
	l, err := ledger.Open(files, ledger.Options{Archive: x.uuid()})
	if err != nil {
		x.t.Fatal(err)
	}
	n := 0
	for rec, err := range old.Records(x.t.Context(), 0) {
		if err != nil {
			x.t.Fatal(err)
		}
		if rec.Kind != mail.KindMessage {
			continue
		}
		if n++; n == leaveOut {
			continue
		}
		raw, err := old.Raw(x.t.Context(), rec.ID)
		if err != nil {
			x.t.Fatal(err)
		}
		b := make([]byte, raw.Size())
		if _, err := raw.ReadAt(b, 0); err != nil {
			x.t.Fatal(err)
		}
		raw.Close()
		e, err := ledger.Message(rec.Delivery, b)
		if err == nil {
			_, err = l.Append(x.t.Context(), []*ledger.Entry{e})
		}
		if err != nil {
			x.t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		x.t.Fatal(err)
	}
	x.replace(filepath.Join(x.archive(), "ledger/0000"), fresh)
}

func (x *tampered) uuid() [16]byte {
	x.t.Helper()
	b, err := os.ReadFile(filepath.Join(x.archive(), "ARCHIVE"))
	if err != nil {
		x.t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(b), `"archive": "`)
	return uuid(x.t, after[:36])
}

// remove takes files out of the archive.
func (x *tampered) remove(names ...string) {
	x.t.Helper()
	for _, n := range names {
		if err := os.RemoveAll(filepath.Join(x.archive(), n)); err != nil {
			x.t.Fatal(err)
		}
	}
}

// mends repairs an altered record from a backup and from a copy, and leaves an
// event; a rewritten segment is refused as a source.
func (x *tampered) mends() {
	x.t.Helper()
	x.again()
	store := filepath.Join(x.dir, "store")
	x.run(0, "backup", store)
	path, frames, rest := x.frames()
	frames[2][240] ^= 1
	x.write(path, frames, rest)
	harmed := filepath.Join(x.dir, "harmed")
	x.replace(harmed, x.archive())
	for _, from := range []string{store, x.good} {
		x.replace(x.archive(), harmed)
		if r := unmarshal[app.RepairReport](x.site, 0, "repair", "--from", from, "--dry-run"); len(r.Segments) != 1 || r.Segments[0].By == "" {
			x.t.Errorf("dry run: %+v", r)
		}
		x.run(4, "verify", "--level", "bodies")
		r := unmarshal[app.RepairReport](x.site, 0, "repair", "--from", from)
		if len(r.Segments) != 1 || r.Segments[0].Aside == "" || r.Segments[0].Digest == nil {
			x.t.Errorf("repair: %+v", r)
		}
		x.run(0, "drain", "--once") // signs the event
		x.run(0, "verify")
	}
	x.replace(x.archive(), harmed)
	out, _ := x.run(4, "repair", "--from", harmed)
	if !strings.Contains(out, "REFUSED") {
		x.t.Error(out)
	}
	x.run(6, "repair", "--from", filepath.Join(x.dir, "nowhere"))
	x.run(2, "repair")
}

// TestTampering alters an archive in every way that we know of, and expects verify
// to find it; what a checkpoint alone can tell, with one that was kept outside.
func TestTampering(t *testing.T) {
	d := lab.StartDovecot(t, "anna", "bert")
	x := &tampered{site: drill(t, d)}
	deliverNumbered(t, d, "anna", 0, 8)
	x.run(0, "drain", "--once")
	yesterday := filepath.Join(x.dir, "yesterday")
	x.replace(yesterday, x.archive())
	deliverNumbered(t, d, "anna", 8, 16)
	x.run(0, "drain", "--once")
	x.good = filepath.Join(x.dir, "good")
	x.replace(x.good, x.archive())
	outside := x.keepCheckpoint("outside")
	x.run(0, "verify", "--checkpoint", outside)

	for name, tc := range map[string]struct {
		harm  func()
		level string
		says  string
	}{
		"altered": {func() {
			path, frames, rest := x.frames()
			frames[2][240] ^= 1
			x.write(path, frames, rest)
		}, "bodies", "does not match its SHA-256"},
		"dropped": {func() {
			path, frames, rest := x.frames()
			x.write(path, slices.Delete(frames, 2, 3), rest)
		}, "chain", "record has the number"},
		"reordered": {func() {
			path, frames, rest := x.frames()
			frames[2], frames[3] = frames[3], frames[2]
			x.write(path, frames, rest)
		}, "chain", "record has the number"},
		"segment gone": {func() { x.remove("ledger/0000/0000000000000000.seg") }, "structure", "are missing before this segment"},
		"rewritten":    {func() { x.rewrite(3) }, "evidence", "was signed"},
		"ledger rolled back": {func() {
			x.replace(filepath.Join(x.archive(), "ledger"), filepath.Join(yesterday, "ledger"))
		}, "evidence", "rolled back"},
		"checkpoint dropped": {func() {
			x.replace(filepath.Join(x.archive(), "tlog/0000/checkpoints"), filepath.Join(yesterday, "tlog/0000/checkpoints"))
		}, "evidence", "checkpoints were taken out of it"},
		"checkpoint altered": {func() {
			name := filepath.Join(x.archive(), "tlog/0000/checkpoint")
			b, err := os.ReadFile(name)
			if err == nil {
				err = os.WriteFile(name, bytes.Replace(b, []byte("\n\n"), []byte("\nx\n\n"), 1), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}, "evidence", "is not signed"},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			x.again()
			tc.harm()
			r := unmarshal[app.VerifyReport](x.site, 4, "verify", "--level", tc.level)
			if !slices.ContainsFunc(r.Findings, func(f app.Finding) bool { return strings.Contains(f.Problem, tc.says) }) {
				t.Errorf("no finding says %q: %+v", tc.says, r.Findings)
			}
			x.run(4, "verify")
		})
	}

	t.Run("repaired", func(t *testing.T) { x.mends() })

	// As a whole the next two are what some archive could be: only what was kept
	// outside tells.
	t.Run("rolled_back_as_a_whole", func(t *testing.T) {
		x.replace(x.archive(), yesterday)
		x.run(0, "verify")
		r := unmarshal[app.VerifyReport](x.site, 4, "verify", "--checkpoint", outside)
		if len(r.Findings) != 1 || !strings.Contains(r.Findings[0].Problem, "rolled back") || r.Findings[0].Where == "" {
			t.Errorf("%+v", r.Findings)
		}
	})
	t.Run("rewritten_and_signed_anew", func(t *testing.T) {
		x.again()
		x.rewrite(3)
		x.remove("tlog", "checkpoint.vkey", "keys/checkpoint.key", "catalog", "index", "nats")
		x.run(0, "drain", "--once") // signs it with a key of its own
		x.run(0, "verify")
		r := unmarshal[app.VerifyReport](x.site, 4, "verify", "--checkpoint", outside)
		if len(r.Findings) != 1 || !strings.Contains(r.Findings[0].Problem, "the key was replaced") {
			t.Errorf("%+v", r.Findings)
		}
	})
	t.Run("another_archive", func(t *testing.T) {
		x.again()
		other := filepath.Join(x.dir, "other")
		if err := os.WriteFile(other, []byte("example.org/log\n5\nAAAA\n\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		x.run(2, "verify", "--checkpoint", other)
		x.run(2, "verify", "--level", "bodies", "--checkpoint", outside)
		x.run(2, "verify", "--level", "deep")
	})
}
