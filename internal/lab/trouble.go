package lab

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ReadOnly takes the right to change a Maildir from the server, or gives it back.
// It needs the server to run as another user than the superuser, as it does.
func (d *Dovecot) ReadOnly(t testing.TB, mailbox string, on bool) {
	t.Helper()
	mode := fs.FileMode(0o755)
	if on {
		mode = 0o555
	}
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.Chmod(filepath.Join(d.dir, mailbox, sub), mode); err != nil {
			t.Fatal(err)
		}
	}
}

// Truncate cuts a message short on the disk, the one with the index in the order
// of delivery. The server believes the size that it knows from an earlier
// session. The function returned makes the file whole again.
func (d *Dovecot) Truncate(t testing.TB, mailbox string, index, octets int) (mend func()) {
	t.Helper()
	name := d.files(t, mailbox)[index]
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, int64(octets)); err != nil {
		t.Fatal(err)
	}
	return func() {
		name := d.files(t, mailbox)[0] // all others are gone
		if err := errors.Join(os.WriteFile(name, whole, 0o644), os.Chtimes(name, info.ModTime(), info.ModTime())); err != nil {
			t.Fatal(err)
		}
	}
}

// Fill delivers the same message many times, by hard links in no time.
func (d *Dovecot) Fill(t testing.TB, mailbox string, count int, raw []byte) {
	t.Helper()
	const most = 30_000 // of the links to one file; file systems have a limit
	name := func(n int) string {
		return filepath.Join(d.dir, mailbox, "new", fmt.Sprintf("1700000000.M%08d.lab", n))
	}
	for n := range count {
		first := name(n - n%most)
		if n%most > 0 {
			if err := os.Link(first, name(n)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(first, raw, 0o644); err != nil {
			t.Fatal(err)
		}
		d.give(t, mailbox, first)
	}
}

// Hold logs in and stays, so that a server that locks mailboxes holds the lock;
// the function returned ends the session.
func Hold(t testing.TB, addr, mailbox string) (release func()) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	r := bufio.NewReader(c)
	ask := func(command string) {
		t.Helper()
		if command != "" {
			fmt.Fprintf(c, "%s\r\n", command) //nolint:errcheck // no answer shows it
		}
		if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "+OK") {
			t.Fatalf("%s: %q, %v", command, line, err)
		}
	}
	ask("")
	ask("USER " + mailbox)
	ask("PASS " + Password)
	ask("STAT")
	return func() { ask("QUIT") }
}

// UseMbox starts the server again with mbox files for mailboxes, which are empty
// and to be filled through what it returns. Restart goes back to Maildir.
func (d *Dovecot) UseMbox(t testing.TB) *Mboxes {
	t.Helper()
	m := &Mboxes{mboxes{dir: filepath.Join(d.Dir, "mbox"), ids: d.ids}}
	if err := os.Mkdir(m.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	d.Restart(t, fmt.Sprintf("mail_location = mbox:%s/mbox/.folders-%%u:INBOX=%s/mbox/%%u\n", d.Dir, d.Dir))
	return m
}

// Mboxes are the mailboxes of a Dovecot that uses mbox files.
type Mboxes struct{ mboxes }

// Renew makes a mailbox anew and empty, so that its UIDs start again.
func (d *Dovecot) Renew(t testing.TB, mailbox string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(d.dir, mailbox)); err != nil {
		t.Fatal(err)
	}
	d.create(t, mailbox)
}
