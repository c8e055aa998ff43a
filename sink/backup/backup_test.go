package backup_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/backup"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

const uuid = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"

func id() (u [16]byte) {
	hex.Decode(u[:], []byte(strings.ReplaceAll(uuid, "-", ""))) //nolint:errcheck // a constant
	return u
}

// A rig is an archive in memory, in use.
type rig struct {
	t  testing.TB
	fs *durabletest.FS
	l  *ledger.Ledger
	n  int
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, fs: durabletest.New()}
	for name, text := range map[string]string{
		"ARCHIVE": "identity", "checkpoint.vkey": "key", "keys/checkpoint.key": "private",
		"tlog/0000/checkpoint": "size 4", "tlog/0000/checkpoints/00000001": "size 4", "tlog/0000/tile/0/000": "a view",
		"anchors/2026/stamp": "stamp", "searches/weekly.json": "a search", "searches/weekly.told": "until 4", "catalog/0000.bolt": "a view", "nats/x": "transport", "dict/1.dict": "words",
	} {
		r.write(name, text)
	}
	r.check(r.fs.Chmod("keys/checkpoint.key", 0o600), r.fs.MkdirAll("ledger/0000"), r.fs.SyncDir("ledger"), r.fs.SyncDir("."))
	r.open()
	return r
}

func (r *rig) check(errs ...error) {
	r.t.Helper()
	if err := errors.Join(errs...); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) write(name, text string) {
	r.t.Helper()
	if i := strings.LastIndexByte(name, '/'); i > 0 {
		r.check(r.fs.MkdirAll(name[:i]))
	}
	r.check(durable.WriteFile(r.fs, name, []byte(text)))
}

func (r *rig) files() durable.FS {
	r.t.Helper()
	files, err := r.fs.Sub("ledger/0000")
	r.check(err)
	return files
}

func (r *rig) open() {
	r.t.Helper()
	var err error
	r.l, err = ledger.Open(r.files(), ledger.Options{Archive: id(), SegmentSize: 6000})
	r.check(err)
}

// seal appends messages.
func (r *rig) seal(count int) {
	r.t.Helper()
	for range count {
		r.n++
		raw := fmt.Appendf(nil, "Subject: %d\r\n\r\n%s", r.n, strings.Repeat(fmt.Sprint(r.n*7919), 200))
		e, err := ledger.Message(mail.Delivery{Capture: mail.Capture{Mailbox: "office"}, Fingerprint: mail.FingerprintOf(raw)}, raw)
		r.check(err)
		_, err = r.l.Append(context.Background(), []*ledger.Entry{e})
		r.check(err)
	}
}

// archive is the archive as a process beside it sees it.
func (r *rig) archive() backup.Archive {
	return backup.Archive{FS: r.fs, UUID: uuid, Ledgers: func(context.Context) ([][]ledger.Extent, error) {
		reader, err := ledger.OpenReader(r.files(), ledger.Options{Archive: id()})
		if err != nil {
			return nil, err
		}
		defer reader.Close()
		extents, err := reader.Extents(reader.Size())
		return [][]ledger.Extent{extents}, err
	}}
}

func now() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func (r *rig) backup(target durable.FS, keep int) (backup.Report, error) {
	return backup.Make(context.Background(), target, r.archive(), backup.Options{Keep: keep, Now: now})
}

func (r *rig) mustBackup(target durable.FS) backup.Report {
	r.t.Helper()
	report, err := r.backup(target, 0)
	r.check(err)
	return report
}

// contents reads a tree; directories that are empty count for nothing.
func contents(t testing.TB, fsys durable.FS, dir string, out map[string]string) map[string]string {
	t.Helper()
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := strings.TrimPrefix(dir+"/"+e.Name(), "./")
		if e.IsDir() {
			contents(t, fsys, name, out)
			continue
		}
		b, err := durable.ReadFile(fsys, name)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = string(b)
	}
	return out
}

// backedUp says whether a backup has a file of an archive.
func backedUp(name string) bool {
	for _, prefix := range []string{"catalog/", "nats/", "index/", "tlog/0000/tile/"} {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	return !strings.HasSuffix(name, "lock")
}

func restore(t testing.TB, target durable.FS, number int) (*durabletest.FS, error) {
	t.Helper()
	m, err := backup.Find(target, number)
	if err != nil {
		return nil, err
	}
	to := durabletest.New()
	return to, backup.Restore(t.Context(), target, m, to, backup.RestoreOptions{Identity: "ARCHIVE"})
}

func wantClean(t testing.TB, fsys durable.FS) ledger.Report {
	t.Helper()
	files, err := fsys.Sub("ledger/0000")
	if err != nil {
		t.Fatal(err)
	}
	r, err := ledger.Verify(context.Background(), files, ledger.VerifyOptions{Archive: id(), Found: func(f ledger.Finding) {
		if !f.Note() {
			t.Errorf("found %+v", f)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What was backed up beside a writer comes back, octet for octet; what is open as
// far as it was durable.
func TestRoundTrip(t *testing.T) {
	r, target := newRig(t), durabletest.New()
	r.seal(9)
	report := r.mustBackup(target)
	back, err := restore(t, target.Crash(1, 0), 0) // a backup that was reported survives a power cut
	if err != nil {
		t.Fatal(err)
	}
	want := contents(t, r.fs, ".", map[string]string{})
	for name := range want {
		if !backedUp(name) {
			delete(want, name)
		}
	}
	if d := cmp.Diff(want, contents(t, back.Crash(1, 0), ".", map[string]string{})); d != "" {
		t.Error(d)
	}
	if info, err := back.Stat("keys/checkpoint.key"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the private key: %v, %v", info, err)
	}
	if got := wantClean(t, back); got.Messages != 9 || got.Size != report.Ledgers[0].Records {
		t.Errorf("restored %+v, backed up %+v", got, report.Ledgers)
	}
}

// How far alerts were delivered is never beyond the records that a backup has, also
// where mail is sealed and told of in the middle of it.
func TestSavedSearchesAreNotAhead(t *testing.T) {
	r, target := newRig(t), durabletest.New()
	r.seal(3)
	a := r.archive()
	ledgers := a.Ledgers
	a.Ledgers = func(ctx context.Context) ([][]ledger.Extent, error) {
		extents, err := ledgers(ctx)
		r.seal(3)
		r.write("searches/weekly.told", "until 9")
		return extents, err
	}
	if _, err := backup.Make(t.Context(), target, a, backup.Options{Now: now}); err != nil {
		t.Fatal(err)
	}
	back, err := restore(t, target, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := contents(t, back, ".", map[string]string{}); got["searches/weekly.told"] != "until 4" || got["searches/weekly.json"] != "a search" {
		t.Errorf("restored %q and %q", got["searches/weekly.json"], got["searches/weekly.told"])
	}
}

// The second backup copies what is new, and reads no segment that the first has.
func TestIncremental(t *testing.T) {
	r, target := newRig(t), durabletest.New()
	r.seal(20)
	first := r.mustBackup(target)
	if again := r.mustBackup(target); again.Copied != 0 || again.Files != first.Files || again.Number != 2 {
		t.Errorf("nothing is new, but: %+v", again)
	}
	// A copied segment that rots afterwards does not stop the backup, and the good
	// copy stays.
	r.check(r.fs.Flip("ledger/0000/0000000000000000.seg", 300, 1))
	r.seal(2)
	third := r.mustBackup(target)
	if third.Copied == 0 || third.Copied > 2 {
		t.Errorf("%d objects copied for two messages", third.Copied)
	}
	for number, messages := range map[int]uint64{1: 20, 2: 20, 3: 22} {
		back, err := restore(t, target, number)
		if err != nil {
			t.Fatal(err)
		}
		if got := wantClean(t, back); got.Messages != messages {
			t.Errorf("backup %d has %d messages", number, got.Messages)
		}
	}
	if c, err := backup.Check(t.Context(), target, nil); err != nil || len(c.Findings) > 0 || c.Manifests != 3 {
		t.Errorf("%+v, %v", c, err)
	}
}

// A segment that is damaged before it is backed up is refused, and told.
func TestDamagedSegmentIsRefused(t *testing.T) {
	r, target := newRig(t), durabletest.New()
	r.seal(20)
	r.check(r.fs.Flip("ledger/0000/0000000000000000.seg", 300, 1))
	if _, err := r.backup(target, 0); mail.KindOf(err) != mail.Corrupt || !strings.Contains(err.Error(), "0000000000000000.seg") {
		t.Errorf("a damaged segment: %v", err)
	}
	if _, err := backup.Find(target, 0); mail.KindOf(err) != mail.NotFound {
		t.Errorf("there is a manifest: %v", err)
	}
}

// An archive that lost records, or has others, is not taken for its continuation.
func TestHistoryIsKept(t *testing.T) {
	for what, harm := range map[string]func(*rig){
		"an older copy": func(r *rig) { r.fs, r.l = r.fs.Crash(0, 1), nil },
		"another history": func(r *rig) {
			r.fs, r.l = r.fs.Crash(0, 1), nil
			r.open()
			r.n = 1000
			r.seal(20)
		},
	} {
		r, target := newRig(t), durabletest.New()
		r.seal(3)
		old := &rig{t: t, fs: r.fs.Crash(0, 1)}
		r.seal(12)
		r.mustBackup(target)
		harm(old)
		before := contents(t, target, "manifests", map[string]string{})
		if _, err := old.backup(target, 1); mail.KindOf(err) != mail.Corrupt || mail.HintOf(err) == "" {
			t.Errorf("%s: %v", what, err)
		}
		if d := cmp.Diff(before, contents(t, target, "manifests", map[string]string{})); d != "" {
			t.Errorf("%s changed the manifests: %s", what, d)
		}
		r.seal(1)
		r.mustBackup(target) // the true one goes on
	}
}

// What was open in one backup may be sealed, by its end or by recovery, in the next.
func TestOpenSegmentIsSealedMeanwhile(t *testing.T) {
	for what, end := range map[string]func(*rig){
		"closed":    func(r *rig) { r.check(r.l.Close()); r.open() },
		"recovered": func(r *rig) { r.fs = r.fs.Crash(0, 0); r.open() },
	} {
		r, target := newRig(t), durabletest.New()
		r.seal(2)
		r.mustBackup(target)
		end(r)
		r.seal(1)
		if _, err := r.backup(target, 0); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Keep bounds the manifests; what those that stay need is never removed.
func TestKeep(t *testing.T) {
	r, target := newRig(t), durabletest.New()
	for range 5 {
		r.seal(2)
		r.write("tlog/0000/checkpoint", fmt.Sprint("size ", r.n))
		if _, err := r.backup(target, 2); err != nil {
			t.Fatal(err)
		}
	}
	c, err := backup.Check(t.Context(), target, nil)
	if err != nil || c.Manifests != 2 || len(c.Findings) > 0 {
		t.Errorf("%+v, %v", c, err)
	}
	entries, err := target.ReadDir("objects")
	if err != nil || len(entries) != c.Objects {
		t.Errorf("%d objects of which %d are needed: %v", len(entries), c.Objects, err)
	}
	for number := 4; number <= 5; number++ {
		back, err := restore(t, target, number)
		if err != nil {
			t.Fatal(err)
		}
		wantClean(t, back)
	}
	if _, err := backup.Find(target, 3); mail.KindOf(err) != mail.NotFound {
		t.Errorf("backup 3: %v", err)
	}
}

// Every octet of a backup counts: whatever is flipped, cut or gone is found by
// Check, and never restored.
func TestCheckFindsAll(t *testing.T) {
	r, good := newRig(t), durabletest.New()
	r.seal(4)
	r.mustBackup(good)
	for name, text := range contents(t, good, ".", map[string]string{}) {
		if name == "lock" || len(text) == 0 {
			continue
		}
		for what, harm := range map[string]func(*durabletest.FS) error{
			"flipped": func(f *durabletest.FS) error { return f.Flip(name, int64(len(text)/2), 2) },
			"cut":     func(f *durabletest.FS) error { return f.Truncate(name, int64(len(text)-1)) },
			"gone":    func(f *durabletest.FS) error { return f.Remove(name) },
		} {
			bad := good.Crash(0, 0)
			r.check(harm(bad))
			c, err := backup.Check(t.Context(), bad, nil)
			if name == "BACKUP" && what != "gone" && err == nil && c.Archive != uuid {
				continue // another name for the same octets: Make refuses it
			}
			if name == "BACKUP" && what == "cut" {
				continue // the newline at its end
			}
			if err == nil && len(c.Findings) == 0 {
				t.Errorf("%s %s is not found", name, what)
			}
			to, err := restore(t, bad, 0)
			if err == nil {
				t.Errorf("%s %s was restored", name, what)
			} else if to != nil {
				if _, err := to.Stat("ARCHIVE"); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s %s left an archive: %v", name, what, err)
				}
			}
		}
	}
}

// Refusals of directories that are something else.
func TestRefusals(t *testing.T) {
	r, target := newRig(t), durabletest.New()
	r.seal(1)
	r.check(durable.WriteFile(target, "letter.txt", []byte("x")))
	if _, err := r.backup(target, 0); mail.KindOf(err) != mail.Invalid {
		t.Errorf("a directory with something else: %v", err)
	}
	if _, err := backup.Check(t.Context(), target, nil); mail.KindOf(err) != mail.NotFound {
		t.Errorf("check of no backup: %v", err)
	}
	target = durabletest.New()
	r.mustBackup(target)
	other := r.archive()
	other.UUID = "another"
	if _, err := backup.Make(t.Context(), target, other, backup.Options{}); mail.KindOf(err) != mail.Invalid {
		t.Errorf("another archive: %v", err)
	}
	lock, err := target.Lock("lock")
	r.check(err)
	if _, err := r.backup(target, 0); mail.KindOf(err) != mail.InUse {
		t.Errorf("a second backup: %v", err)
	}
	r.check(lock.Close())
	m, err := backup.Find(target, 0)
	r.check(err)
	if err := backup.Restore(t.Context(), target, m, r.fs, backup.RestoreOptions{Identity: "ARCHIVE"}); mail.KindOf(err) != mail.Invalid {
		t.Errorf("restore over an archive: %v", err)
	}
	judged := errors.New("judged")
	to := durabletest.New()
	err = backup.Restore(t.Context(), target, m, to, backup.RestoreOptions{Identity: "ARCHIVE", Judge: func(context.Context, []byte) error { return judged }})
	if _, serr := to.Stat("ARCHIVE"); !errors.Is(err, judged) || !errors.Is(serr, fs.ErrNotExist) {
		t.Errorf("against the judgement: %v, %v", err, serr)
	}
}

// A backup that dies anywhere leaves the backups before it whole, and the next one
// succeeds. One that fails says so.
func TestMakeCrashes(t *testing.T) {
	r, base := newRig(t), durabletest.New()
	r.seal(3)
	r.mustBackup(base)
	r.seal(6)
	r.write("tlog/0000/checkpoint", "size 12")
	full := base.Crash(0, 1)
	if _, err := r.backup(full, 1); err != nil {
		t.Fatal(err)
	}
	ops := len(full.Ops())
	if ops < 20 {
		t.Fatalf("only %d operations", ops)
	}
	for k := range ops {
		for mode, fault := range map[string]func(*durabletest.FS){
			"died":   func(f *durabletest.FS) { f.StopAt(k, false) },
			"done":   func(f *durabletest.FS) { f.StopAt(k, true) },
			"EIO":    func(f *durabletest.FS) { f.FailAt(k, false, syscall.EIO) },
			"ENOSPC": func(f *durabletest.FS) { f.FailAt(k, false, syscall.ENOSPC) },
		} {
			target := base.Crash(0, 1)
			fault(target)
			_, err := r.backup(target, 1)
			if err != nil && mode == "ENOSPC" && mail.KindOf(err) != mail.NoSpace {
				t.Errorf("operation %d, %s: %v", k, mode, err)
			}
			if n := target.OpenFiles(); n > 0 {
				t.Errorf("operation %d, %s: %d files are open", k, mode, n)
			}
			after := target.Crash(uint64(k), 0.5)
			back, rerr := restore(t, after, 0)
			if rerr != nil {
				t.Fatalf("operation %d, %s (%v): no backup is left: %v", k, mode, err, rerr)
			}
			if got := wantClean(t, back); got.Messages != 3 && got.Messages != 9 || err == nil && got.Messages != 9 {
				t.Errorf("operation %d, %s: %d messages, and the backup returned %v", k, mode, got.Messages, err)
			}
			if _, err := r.backup(after, 1); err != nil {
				t.Errorf("operation %d, %s: the next backup: %v", k, mode, err)
			}
			if c, err := backup.Check(t.Context(), after, nil); err != nil || len(c.Findings) > 0 {
				t.Errorf("operation %d, %s: the next backup has %+v, %v", k, mode, c.Findings, err)
			}
		}
	}
}

// A restoration that dies anywhere leaves either no archive or a whole one.
func TestRestoreCrashes(t *testing.T) {
	r, target := newRig(t), durabletest.New()
	r.seal(5)
	r.mustBackup(target)
	m, err := backup.Find(target, 0)
	r.check(err)
	do := func(to durable.FS) error {
		return backup.Restore(context.Background(), target, m, to, backup.RestoreOptions{Identity: "ARCHIVE"})
	}
	whole := durabletest.New()
	r.check(do(whole))
	for k := range len(whole.Ops()) {
		for _, persist := range []bool{false, true} {
			for seed := range uint64(3) {
				to := durabletest.New()
				to.StopAt(k, persist)
				err := do(to)
				after := to.Crash(seed, 0.5)
				_, serr := after.Stat("ARCHIVE")
				if err == nil && serr != nil {
					t.Fatalf("operation %d: it returned success without an archive", k)
				}
				if serr == nil {
					if got := wantClean(t, after); got.Messages != 5 {
						t.Fatalf("operation %d: an archive with %d messages", k, got.Messages)
					}
				}
			}
		}
	}
}

// The order of operations is what the promises rest on: the manifest comes when
// everything that it names is durable.
func TestOrder(t *testing.T) {
	r, target := newRig(t), durabletest.New()
	r.seal(1)
	r.mustBackup(target)
	ops := target.Ops()
	at := func(kind, prefix string, last bool) int {
		match := func(o durabletest.Op) bool { return o.Kind == kind && strings.HasPrefix(o.Name, prefix) }
		if last {
			for i, o := range slices.Backward(ops) {
				if match(o) {
					return i
				}
			}
			return -1
		}
		return slices.IndexFunc(ops, match)
	}
	named, synced, manifest := at("rename", "objects/", true), at("syncdir", "objects", true), at("create", "manifests/", false)
	if named < 0 || synced < named || manifest < synced {
		t.Errorf("last object named at %d, names synced at %d, manifest begun at %d", named, synced, manifest)
	}
}
