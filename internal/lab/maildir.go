package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// maildirs are mailboxes in the Maildir format, one directory each.
type maildirs struct {
	dir string
	ids func(mailbox string) (uid, gid int) // of its owner; nil: the test's own user
	n   atomic.Int64
}

// create makes an empty mailbox.
func (m *maildirs) create(t testing.TB, mailbox string) {
	t.Helper()
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(m.dir, mailbox, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	m.give(t, mailbox, filepath.Join(m.dir, mailbox))
}

// give gives a tree to the owner of the mailbox.
func (m *maildirs) give(t testing.TB, mailbox, p string) {
	t.Helper()
	if m.ids == nil {
		return
	}
	uid, gid := m.ids(mailbox)
	if err := own(p, uid, gid); err != nil {
		t.Fatal(err)
	}
}

// Deliver implements Server.
func (m *maildirs) Deliver(t testing.TB, mailbox string, raw ...[]byte) {
	t.Helper()
	for _, r := range raw {
		name := fmt.Sprintf("%d.M%08d.lab", time.Now().Unix(), m.n.Add(1))
		tmp := filepath.Join(m.dir, mailbox, "tmp", name)
		if err := os.WriteFile(tmp, r, 0o644); err != nil {
			t.Fatal(err)
		}
		m.give(t, mailbox, tmp)
		if err := os.Rename(tmp, filepath.Join(m.dir, mailbox, "new", name)); err != nil {
			t.Fatal(err)
		}
	}
}

// files returns the paths of the messages of a mailbox, in the order of their
// delivery.
func (m *maildirs) files(t testing.TB, mailbox string) []string {
	t.Helper()
	var files []string
	for _, sub := range []string{"cur", "new"} {
		entries, err := os.ReadDir(filepath.Join(m.dir, mailbox, sub))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			files = append(files, filepath.Join(m.dir, mailbox, sub, e.Name()))
		}
	}
	slices.SortFunc(files, func(a, b string) int {
		return compareDelivered(filepath.Base(a), filepath.Base(b))
	})
	return files
}

// compareDelivered orders names as Deliver gave them, whatever a server put
// behind.
func compareDelivered(a, b string) int {
	var at, an, bt, bn int64
	fmt.Sscanf(a, "%d.M%d", &at, &an) //nolint:errcheck // another's file comes first
	fmt.Sscanf(b, "%d.M%d", &bt, &bn) //nolint:errcheck // the same
	return int(an - bn)
}

// Contents implements Server.
func (m *maildirs) Contents(t testing.TB, mailbox string) [][]byte {
	t.Helper()
	var all [][]byte
	for _, f := range m.files(t, mailbox) {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	return all
}

// Count implements Server.
func (m *maildirs) Count(t testing.TB, mailbox string) int {
	t.Helper()
	return len(m.files(t, mailbox))
}
