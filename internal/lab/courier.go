package lab

import (
	"context"
	"os"
	"testing"
)

// A Courier is a running Courier POP3 server with Maildir mailboxes.
type Courier struct {
	maildirs
	address string
}

// courierEnv is what /etc/courier/pop3d sets for the server's programs.
var courierEnv = []string{
	"AUTHMODULES=authdaemon", "POP3AUTH=PLAIN LOGIN", "POP3AUTH_ORIG=PLAIN LOGIN", "MAILDIRPATH=.",
	"POP3_STARTTLS=NO", "POP3_TLS_REQUIRED=0", "PIDFILE=/run/courier/pop3d.pid",
}

// StartCourier starts a Courier with the named mailboxes.
func StartCourier(t testing.TB, mailboxes ...string) *Courier {
	t.Helper()
	j := newJail(t, "courier", mailboxes)
	c := &Courier{address: freePort(t)}
	c.dir, c.ids = j.path("mail"), j.owner
	for _, m := range mailboxes {
		c.create(t, m)
	}
	j.pam(t, "pop3")
	j.write(t, "etc/courier/authdaemonrc", "authmodulelist=\"authpam\"\ndaemons=2\nauthdaemonvar=/run/courier/authdaemon\nDEBUG_LOGIN=0\n", 0o600)
	j.mkdir(t, "run/courier/authdaemon")
	log := j.path("log")
	start(t, j.command("/usr/lib/courier/courier-authlib/authdaemond"), log)
	until(t, log, func(context.Context) bool {
		_, err := os.Stat(j.path("run/courier/authdaemon/socket"))
		return err == nil
	})
	tcpd := j.command("/usr/sbin/couriertcpd", "-address=127.0.0.1", "-maxprocs=100", "-maxperip=100", "-nodnslookup", "-noidentlookup",
		port(c.address), "/usr/lib/courier/courier/courierpop3login", "/usr/lib/courier/courier/courierpop3d", ".")
	tcpd.Env = append(tcpd.Env, courierEnv...)
	start(t, tcpd, log)
	await(t, c.address, log)
	return c
}

// Address implements Server.
func (c *Courier) Address() string { return c.address }
