package lab

import (
	"bytes"
	"testing"
)

// A Solid is a running solid-pop3d: Maildir, neither CAPA nor STLS, and messages
// in another order than they were delivered in.
type Solid struct {
	maildirs
	address string
}

// StartSolid starts a solid-pop3d with the named mailboxes.
func StartSolid(t testing.TB, mailboxes ...string) *Solid {
	t.Helper()
	j := newJail(t, "solid", mailboxes)
	j.pam(t, "solid-pop3d")
	j.write(t, "etc/spop3d.conf", "<Global>\n  MailDropName \"/mail/%s\"\n  MailDropType maildir\n  AutoLogoutTime 5m\n  AllowAPOP no\n</Global>\n", 0o644)
	s := &Solid{}
	s.dir, s.ids = j.path("mail"), j.owner
	for _, m := range mailboxes {
		s.create(t, m)
	}
	s.address = j.inetd(t, "/usr/sbin/solid-pop3d")
	return s
}

// Address implements Server.
func (s *Solid) Address() string { return s.address }

// Deliver implements Server. A line end is added where a message has none at its
// end: solid-pop3d calls it damaged, and refuses the mailbox because of it.
func (s *Solid) Deliver(t testing.TB, mailbox string, raw ...[]byte) {
	t.Helper()
	ended := make([][]byte, len(raw))
	for i, r := range raw {
		if ended[i] = r; len(r) > 0 && !bytes.HasSuffix(r, []byte("\n")) {
			ended[i] = append(bytes.Clone(r), '\n')
		}
	}
	s.maildirs.Deliver(t, mailbox, ended...)
}
