package tlog_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"path"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/ledger"
	"github.com/mailkeep/mailkeep/sink/tlog"
)

const archive = "5ea1ed00-0000-4000-8000-000000000000"

var (
	archiveID = [16]byte{0x5e, 0xa1, 0xed, 0, 0, 0, 0x40, 0, 0x80}
	epoch     = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	// fixedKey is no secret: the golden archive is signed with it.
	fixedKey = []byte("PRIVATE+KEY+5ea1ed00-0000-4000-8000-000000000000+5c1c3f93+AQABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n")
)

func key(t testing.TB) *tlog.Key {
	t.Helper()
	k, err := tlog.ParseKey(fixedKey, archive)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func trust(t testing.TB) tlog.Trust {
	t.Helper()
	tr, err := tlog.NewTrust(tlog.Origin(archive, 0), key(t).VKey(0))
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func logger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// A rig is an archive of one partition: ledger/0000 and tlog/0000 in one file
// system, as the program lays them out.
type rig struct {
	root   durable.FS
	ledger *ledger.Ledger
	log    *tlog.Log
	n      uint64 // messages so far
}

// clock advances a second per look.
func clock() func() time.Time {
	now := epoch
	return func() time.Time {
		now = now.Add(time.Second)
		return now
	}
}

func sub(t testing.TB, root durable.FS, dir string) durable.FS {
	t.Helper()
	s, err := subOf(root, dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// subOf makes a directory durably, as the program does when it makes an archive.
func subOf(root durable.FS, dir string) (durable.FS, error) {
	if err := root.MkdirAll(dir); err != nil {
		return nil, err
	}
	for d := path.Dir(dir); ; d = path.Dir(d) {
		if err := root.SyncDir(d); err != nil {
			return nil, err
		}
		if d == "." {
			return root.Sub(dir)
		}
	}
}

// start opens both. The error is of whichever failed.
func start(t testing.TB, root durable.FS, segment int64) (*rig, error) {
	return startWith(t, root, segment, key(t), trust(t))
}

func startWith(t testing.TB, root durable.FS, segment int64, k *tlog.Key, tr tlog.Trust) (*rig, error) {
	now := clock()
	files, err := subOf(root, "ledger/0000")
	if err != nil {
		return nil, err
	}
	l, err := ledger.Open(files, ledger.Options{Archive: archiveID, SegmentSize: segment, Software: "mailkeep test", Host: "archive.example.org", Now: now, Logger: logger(t)})
	if err != nil {
		return nil, err
	}
	dir, err := subOf(root, "tlog/0000")
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	log, err := tlog.Open(tlog.Options{FS: dir, Key: k, Trust: tr, Now: now, Logger: logger(t)})
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &rig{root: root, ledger: l, log: log}, nil
}

func started(t testing.TB, root durable.FS, segment int64) *rig {
	t.Helper()
	r, err := start(t, root, segment)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) close() error { return errors.Join(r.log.Close(), r.ledger.Close()) }

func raw(n uint64) []byte {
	return fmt.Appendf(nil, "From: clerk-%d@example.org\r\nSubject: offer %d\r\n\r\nItem %d costs %d.\r\n", n, n, n, n*n)
}

// append seals n messages in one commit.
func (r *rig) append(n int) ([]ledger.Sealed, error) {
	batch := make([]*ledger.Entry, n)
	for i := range batch {
		b := raw(r.n + uint64(i))
		var err error
		batch[i], err = ledger.Message(mail.Delivery{Capture: mail.Capture{Mailbox: "sales", Fetched: epoch}, Fingerprint: mail.FingerprintOf(b)}, b)
		if err != nil {
			return nil, err
		}
	}
	out, err := r.ledger.Append(context.Background(), batch)
	if err == nil {
		r.n += uint64(n)
	}
	return out, err
}

// sign takes in what is durable, and signs it.
func (r *rig) sign(ctx context.Context) (tlog.Checkpoint, error) {
	size, root := r.ledger.Root()
	if err := r.log.Extend(ctx, r.ledger, size, root); err != nil {
		return tlog.Checkpoint{}, err
	}
	return r.log.Sign(ctx)
}

// grow appends messages and signs.
func (r *rig) grow(t testing.TB, n int) tlog.Checkpoint {
	t.Helper()
	for n > 0 {
		if _, err := r.append(min(n, 256)); err != nil {
			t.Fatal(err)
		}
		n -= 256
	}
	c, err := r.sign(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// check runs Check on what is on disk, and returns what it found that is damage.
func check(t testing.TB, root durable.FS, claims ...tlog.Claim) (tlog.CheckReport, []string) {
	t.Helper()
	return checkWith(t, root, trust(t), claims...)
}

func checkWith(t testing.TB, root durable.FS, tr tlog.Trust, claims ...tlog.Claim) (tlog.CheckReport, []string) {
	t.Helper()
	files := sub(t, root, "ledger/0000")
	l, err := ledger.OpenReader(files, ledger.Options{Archive: archiveID})
	if err != nil {
		return tlog.CheckReport{}, []string{err.Error()}
	}
	defer l.Close()
	var found []string
	report, err := tlog.Check(t.Context(), tlog.CheckOptions{
		FS: sub(t, root, "tlog/0000"), Trust: tr, Source: l, Claims: claims,
		Size: func() (uint64, error) { size, _, err := l.Root(); return size, err },
		Found: func(f tlog.Finding) {
			if !f.Note {
				found = append(found, f.Where+": "+f.Detail)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if report.Damaged != len(found) {
		t.Errorf("the report counts %d findings, not %d", report.Damaged, len(found))
	}
	return report, found
}

func wantClean(t testing.TB, root durable.FS) tlog.CheckReport {
	t.Helper()
	report, found := check(t, root)
	for _, f := range found {
		t.Error(f)
	}
	return report
}

// tree returns the files below a directory.
func tree(t testing.TB, fsys durable.FS, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	entries, err := fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return out
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if e.IsDir() {
			maps.Copy(out, tree(t, fsys, name))
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

func removeAll(t testing.TB, fsys durable.FS, dir string) {
	t.Helper()
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if e.IsDir() {
			removeAll(t, fsys, name)
		} else if err := fsys.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	if err := fsys.Remove(dir); err != nil {
		t.Fatal(err)
	}
}

// copyOf is the file system as it is now.
func copyOf(fsys *durabletest.FS) *durabletest.FS { return fsys.Crash(0, 1) }
