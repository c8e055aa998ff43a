package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// A Master is a set of generated messages on disk, per mailbox, from which a
// Dovecot is filled by hard links in no time.
type Master struct {
	dir    string
	Boxes  []string
	Count  int   // messages, all mailboxes
	Octets int64 // as a Maildir holds them
}

// NewMaster generates count messages of the mix for each mailbox of d.
func (d *Dovecot) NewMaster(t testing.TB, seed uint64, count int, mailboxes ...string) *Master {
	t.Helper()
	m := &Master{dir: filepath.Join(d.Dir, "master"), Boxes: mailboxes}
	mix := NewMix(seed)
	for i, box := range mailboxes {
		dir := filepath.Join(m.dir, box)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for n := range count {
			raw := mix.Message(i, n)
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.%06d.lab", 1700000000+n, n)), raw, 0o644); err != nil {
				t.Fatal(err)
			}
			m.Count++
			m.Octets += int64(len(raw))
		}
	}
	if d.owner != nil {
		d.own(t)
	}
	return m
}

// Refill makes the mailboxes hold exactly the master's messages, as new mail
// with new UIDLs.
func (d *Dovecot) Refill(t testing.TB, m *Master) {
	t.Helper()
	for _, box := range m.Boxes {
		live := filepath.Join(d.Dir, "mail", box)
		for _, sub := range []string{"cur", "new"} {
			if err := os.RemoveAll(filepath.Join(live, sub)); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(filepath.Join(live, sub), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		stale, _ := filepath.Glob(filepath.Join(live, "dovecot*"))
		for _, f := range stale {
			if err := os.Remove(f); err != nil {
				t.Fatal(err)
			}
		}
		files, err := os.ReadDir(filepath.Join(m.dir, box))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if err := os.Link(filepath.Join(m.dir, box, f.Name()), filepath.Join(live, "new", f.Name())); err != nil {
				t.Fatal(err)
			}
		}
		if d.owner != nil {
			for _, p := range []string{live, filepath.Join(live, "cur"), filepath.Join(live, "new")} {
				if err := os.Chown(p, int(d.owner.Uid), int(d.owner.Gid)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
