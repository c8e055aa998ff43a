package lab

import (
	"os"
	"testing"
)

// A Mailutils is a running GNU Mailutils pop3d with Maildir mailboxes.
type Mailutils struct {
	maildirs
	address string
}

// StartMailutils starts a Mailutils pop3d with the named mailboxes.
func StartMailutils(t testing.TB, mailboxes ...string) *Mailutils {
	t.Helper()
	j := newJail(t, "mailutils", mailboxes)
	j.pam(t, "mu-pop3d")
	j.write(t, "etc/lab.conf", `
pam { service mu-pop3d; }
mailbox {
  mailbox-pattern "maildir:/mail/${user}";
  mailbox-type maildir;
}
auth {
  authentication pam;
  authorization system;
}
logging { syslog no; }
`, 0o644)
	j.mkdir(t, "run/lock/subsys/mail")
	if err := os.Chmod(j.path("run/lock/subsys/mail"), os.ModeSticky|0o777); err != nil {
		t.Fatal(err)
	}
	m := &Mailutils{}
	m.dir, m.ids = j.path("mail"), j.owner
	for _, box := range mailboxes {
		m.create(t, box)
		// Its greeting offers APOP, which curl prefers to USER.
		j.run(t, j.command("/usr/bin/popauth", "--add", "--file", "/etc/apop.db", "--user", box, "--password", Password))
	}
	m.address = j.inetd(t, "/usr/sbin/pop3d", "--no-site-config", "--config-file=/etc/lab.conf", "--inetd")
	return m
}

// Address implements Server.
func (m *Mailutils) Address() string { return m.address }
