package lab

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/template"
)

// A Dovecot is a running POP3 server with Maildir mailboxes. Its fields are for
// reading.
type Dovecot struct {
	Dir    string
	POP3   string // host:port; plain and STLS
	POP3S  string // host:port; TLS from the first octet
	CAFile string

	maildirs
	account *user.User
	group   string
	owner   *syscall.Credential // nil: the test's own user
	end     func()              // ends the process
}

// StartDovecot starts a server with the named mailboxes and stops it when the
// test ends. As root it runs as the user "dovecot".
func StartDovecot(t testing.TB, mailboxes ...string) *Dovecot {
	t.Helper()
	dir, err := os.MkdirTemp("", "mailkeep-dovecot-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &Dovecot{Dir: dir, CAFile: filepath.Join(dir, "ca.pem"), POP3: freePort(t), POP3S: freePort(t)}
	d.dir = filepath.Join(dir, "mail")
	d.chooseUser(t)
	writeCerts(t, dir)
	var users strings.Builder
	for _, m := range mailboxes {
		fmt.Fprintf(&users, "%s:{PLAIN}%s::::::nodelay\n", m, Password)
		d.create(t, m)
	}
	d.write(t, "users", users.String())
	d.start(t, "")
	return d
}

// Restart starts the server again with further settings, in the syntax of
// dovecot.conf, in place of those of an earlier Restart. Ports and mailboxes
// stay.
func (d *Dovecot) Restart(t testing.TB, settings string) {
	t.Helper()
	d.end()
	d.start(t, settings)
}

func (d *Dovecot) start(t testing.TB, settings string) {
	t.Helper()
	bin, err := exec.LookPath("dovecot")
	if err != nil {
		if bin, err = exec.LookPath("/usr/sbin/dovecot"); err != nil {
			t.Fatalf("dovecot is not installed: run `make test` as root on Debian, or install dovecot-pop3d: %v", err)
		}
	}
	var conf strings.Builder
	if err := dovecotConf.Execute(&conf, map[string]any{
		"Dir": d.Dir, "User": d.account.Username, "Group": d.group, "Port": port(d.POP3), "TLSPort": port(d.POP3S), "More": settings,
	}); err != nil {
		t.Fatal(err)
	}
	d.write(t, "dovecot.conf", conf.String())
	if d.owner != nil {
		d.own(t)
	}
	log := filepath.Join(d.Dir, "error.log")
	cmd := exec.Command(bin, "-F", "-c", filepath.Join(d.Dir, "dovecot.conf"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: d.owner}
	d.end = start(t, cmd, filepath.Join(d.Dir, "output.log"))
	await(t, d.POP3, log)
}

// chooseUser settles whom the server runs as and the mailboxes belong to.
func (d *Dovecot) chooseUser(t testing.TB) {
	t.Helper()
	var err error
	if d.account, err = user.Current(); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if d.account, err = user.Lookup("dovecot"); err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.Atoi(d.account.Uid)
		gid, _ := strconv.Atoi(d.account.Gid)
		d.owner = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		d.ids = func(string) (int, int) { return uid, gid }
	}
	group, err := user.LookupGroupId(d.account.Gid)
	if err != nil {
		t.Fatal(err)
	}
	d.group = group.Name
}

func (d *Dovecot) write(t testing.TB, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(d.Dir, name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (d *Dovecot) own(t testing.TB) {
	t.Helper()
	if err := own(d.Dir, int(d.owner.Uid), int(d.owner.Gid)); err != nil {
		t.Fatal(err)
	}
}

// Address implements Server.
func (d *Dovecot) Address() string { return d.POP3 }

var dovecotConf = template.Must(template.New("dovecot.conf").Parse(`
base_dir = {{.Dir}}/run
state_dir = {{.Dir}}/state
instance_name = lab-{{.Port}}
protocols = pop3
listen = 127.0.0.1
log_path = {{.Dir}}/error.log
default_internal_user = {{.User}}
default_internal_group = {{.Group}}
default_login_user = {{.User}}
default_process_limit = 500
default_client_limit = 2000
default_vsz_limit = 1G
first_valid_uid = 0
last_valid_uid = 0
mail_uid = {{.User}}
mail_gid = {{.Group}}
mail_home = {{.Dir}}/home/%u
mail_location = maildir:{{.Dir}}/mail/%u
mail_fsync = never
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
auth_cache_size = 4M
mail_max_userip_connections = 0
ssl = yes
ssl_cert = <{{.Dir}}/server.pem
ssl_key = <{{.Dir}}/server.key
passdb {
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {{.Dir}}/users
}
userdb {
  driver = passwd-file
  args = username_format=%u {{.Dir}}/users
}
protocol pop3 {
  pop3_uidl_format = %08Xu%08Xv
}
service pop3-login {
  chroot =
  service_count = 0
  process_min_avail = 1
  process_limit = 2
  client_limit = 1000
  inet_listener pop3 {
    port = {{.Port}}
  }
  inet_listener pop3s {
    port = {{.TLSPort}}
    ssl = yes
  }
}
service anvil {
  chroot =
  client_limit = 3000
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service auth {
  client_limit = 3000
}
service stats {
  chroot =
}
{{.More}}
`))
