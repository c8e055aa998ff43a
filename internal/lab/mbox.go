package lab

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// mboxes are mailboxes in the mbox format, one file each.
type mboxes struct {
	dir string
	ids func(mailbox string) (uid, gid int) // of its owner; nil: the test's own user
}

// fromLine begins each message of an mbox.
const fromLine = "From lab@example.org Mon Jan  1 10:00:00 2024\n"

// Deliver implements Server. Lines that begin with From_ are escaped, and a
// message ends with a line end and an empty line, as the format wants.
func (m *mboxes) Deliver(t testing.TB, mailbox string, raw ...[]byte) {
	t.Helper()
	name := filepath.Join(m.dir, mailbox)
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, r := range raw {
		b.WriteString(fromLine)
		b.Write(escapeFrom(r))
		if !bytes.HasSuffix(r, []byte("\n")) {
			b.WriteByte('\n')
		}
		b.WriteByte('\n')
	}
	_, err = f.Write(b.Bytes())
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	if m.ids == nil {
		return
	}
	uid, gid := m.ids(mailbox)
	if err := os.Chown(name, uid, gid); err != nil {
		t.Fatal(err)
	}
}

func escapeFrom(raw []byte) []byte {
	raw = bytes.ReplaceAll(raw, []byte("\nFrom "), []byte("\n>From "))
	if bytes.HasPrefix(raw, []byte("From ")) {
		raw = append([]byte(">"), raw...)
	}
	return raw
}

// Contents implements Server.
func (m *mboxes) Contents(t testing.TB, mailbox string) [][]byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(m.dir, mailbox))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	parts := bytes.Split(append([]byte("\n"), b...), []byte("\nFrom "))
	var all [][]byte
	for _, p := range parts[1:] {
		_, raw, _ := bytes.Cut(p, []byte("\n"))
		all = append(all, raw)
	}
	return all
}

// Count implements Server.
func (m *mboxes) Count(t testing.TB, mailbox string) int {
	t.Helper()
	return len(m.Contents(t, mailbox))
}
