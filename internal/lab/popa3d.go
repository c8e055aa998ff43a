package lab

import "testing"

// A Popa3d is a running popa3d: mbox files in /var/mail, UIDLs that are digests
// of headers, neither CAPA nor STLS.
type Popa3d struct {
	mboxes
	address string
}

// StartPopa3d starts a popa3d with the named mailboxes.
func StartPopa3d(t testing.TB, mailboxes ...string) *Popa3d {
	t.Helper()
	j := newJail(t, "popa3d", mailboxes)
	j.pam(t, "popa3d")
	j.mkdir(t, "var/mail")
	p := &Popa3d{}
	p.dir, p.ids = j.path("var/mail"), j.owner
	for _, m := range mailboxes {
		p.Deliver(t, m)
	}
	p.address = j.inetd(t, "/usr/sbin/popa3d")
	return p
}

// Address implements Server.
func (p *Popa3d) Address() string { return p.address }
