package lab

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A Cyrus is a running Cyrus POP3 server.
type Cyrus struct {
	jail    *jail
	address string
	next    map[string]int // the UID that the next message gets
	end     func()         // ends the processes
}

// CyrusSettings are what a test may want otherwise.
type CyrusSettings struct {
	MinPoll int    // minutes that must pass between two logins: popminpoll
	UIDL    string // uidl_format; "cyrus" if it is empty
}

// Programs of Cyrus, and the configuration that each is told of.
const (
	cyrusBin  = "/usr/lib/cyrus/bin/"
	cyrusConf = "/etc/lab-imapd.conf"
)

// StartCyrus starts a Cyrus with the named mailboxes.
func StartCyrus(t testing.TB, mailboxes ...string) *Cyrus {
	t.Helper()
	c := &Cyrus{jail: newJail(t, "cyrus", mailboxes), address: freePort(t), next: make(map[string]int)}
	for _, dir := range []string{"db", "proc", "log", "msg", "lock", "socket", "user", "quota"} {
		c.jail.mkdir(t, "conf/"+dir)
	}
	for _, m := range mailboxes {
		cmd := c.jail.command("/usr/sbin/saslpasswd2", "-p", "-c", "-f", "/conf/sasldb2", "-u", "localhost", m)
		cmd.Stdin = strings.NewReader(Password)
		c.jail.run(t, cmd)
	}
	for _, dir := range []string{"conf", "mail", "run"} {
		c.jail.own(t, dir, serverUser)
	}
	c.start(t, CyrusSettings{})
	for _, m := range mailboxes {
		c.create(t, m)
	}
	return c
}

// Restart starts the server again with other settings. Port and mailboxes stay.
func (c *Cyrus) Restart(t testing.TB, settings CyrusSettings) {
	t.Helper()
	c.end()
	c.start(t, settings)
}

func (c *Cyrus) start(t testing.TB, settings CyrusSettings) {
	t.Helper()
	if settings.UIDL == "" {
		settings.UIDL = "cyrus"
	}
	c.configure(t, settings)
	log := c.jail.path("log")
	c.end = start(t, c.jail.command(cyrusBin+"master", "-C", cyrusConf, "-M", "/etc/lab-cyrus.conf", "-p", "/run/cyrus.pid", "-D"), log)
	await(t, c.address, log)
}

func (c *Cyrus) configure(t testing.TB, settings CyrusSettings) {
	t.Helper()
	c.jail.write(t, cyrusConf, fmt.Sprintf(`configdirectory: /conf
defaultpartition: default
partition-default: /mail
admins: cyrus
allowplaintext: yes
popminpoll: %d
popuseacl: no
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: /conf/sasldb2
sasl_mech_list: PLAIN LOGIN
tls_session_timeout: 0
autocreate_quota: 0
uidl_format: %s
unixhierarchysep: no
altnamespace: no
servername: localhost
defaultdomain: localhost
expunge_mode: immediate
delete_mode: immediate
conversations: no
mailbox_legacy_dirs: yes
`, settings.MinPoll, settings.UIDL), 0o644)
	c.jail.write(t, "etc/lab-cyrus.conf", fmt.Sprintf(`START {
  recover cmd="%sctl_cyrusdb -r -C %s"
}
SERVICES {
  pop3 cmd="%spop3d -U 30 -C %s" listen="%s" prefork=1 maxchild=100
}
EVENTS {
}
`, cyrusBin, cyrusConf, cyrusBin, cyrusConf, c.address), 0o644)
}

// create makes the mailbox of a user, which the first login does.
func (c *Cyrus) create(t testing.TB, mailbox string) {
	t.Helper()
	Fetch(t, c.address, mailbox)
	c.next[mailbox] = 1
}

// dir returns the directory of a mailbox.
func (c *Cyrus) dir(mailbox string) string { return c.jail.path("mail/user/" + mailbox) }

// Deliver implements Server: it adds files and lets Cyrus read the mailbox anew.
// Line ends become CR LF. Of a message that has some, only the last one does:
// Cyrus serves the others as they are, and would serve a bare LF before the
// terminator, which then no client finds.
func (c *Cyrus) Deliver(t testing.TB, mailbox string, raw ...[]byte) {
	t.Helper()
	for _, r := range raw {
		name := filepath.Join(c.dir(mailbox), fmt.Sprintf("%d.", c.next[mailbox]))
		c.next[mailbox]++
		if err := os.WriteFile(name, withCRLF(r), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(name, serverUser, mailGroup); err != nil {
			t.Fatal(err)
		}
	}
	cmd := c.jail.command(cyrusBin+"reconstruct", "-C", cyrusConf, "user."+mailbox)
	c.jail.run(t, cmd)
}

func withCRLF(raw []byte) []byte {
	switch {
	case !bytes.Contains(raw, []byte("\r\n")):
		return bytes.ReplaceAll(raw, []byte("\n"), []byte("\r\n"))
	case bytes.HasSuffix(raw, []byte("\n")) && !bytes.HasSuffix(raw, []byte("\r\n")):
		return append(bytes.Clone(raw[:len(raw)-1]), "\r\n"...)
	}
	return raw
}

// Contents implements Server. What is expunged is unlinked first, which Cyrus
// leaves to a nightly job.
func (c *Cyrus) Contents(t testing.TB, mailbox string) [][]byte {
	t.Helper()
	c.jail.run(t, c.jail.command(cyrusBin+"cyr_expire", "-C", cyrusConf, "-E", "0", "-X", "0"))
	entries, err := os.ReadDir(c.dir(mailbox))
	if err != nil {
		t.Fatal(err)
	}
	var uids []int
	for _, e := range entries {
		if n, err := strconv.Atoi(strings.TrimSuffix(e.Name(), ".")); err == nil && strings.HasSuffix(e.Name(), ".") {
			uids = append(uids, n)
		}
	}
	slices.Sort(uids)
	all := make([][]byte, len(uids))
	for i, uid := range uids {
		if all[i], err = os.ReadFile(filepath.Join(c.dir(mailbox), fmt.Sprintf("%d.", uid))); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// Count implements Server.
func (c *Cyrus) Count(t testing.TB, mailbox string) int {
	t.Helper()
	return len(c.Contents(t, mailbox))
}

// Address implements Server.
func (c *Cyrus) Address() string { return c.address }
