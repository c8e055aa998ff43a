package lab

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"text/template"
	"time"
)

// Password is the password of every mailbox of the lab's servers.
const Password = "secret-of-the-lab"

// A Dovecot is a running POP3 server with Maildir mailboxes.
type Dovecot struct {
	Dir    string
	POP3   string // host:port; plain and STLS
	POP3S  string // host:port; TLS from the first octet
	CAFile string

	owner *syscall.Credential // nil: the test's own user
	cmd   *exec.Cmd
	n     atomic.Int64
}

// StartDovecot starts a server with the named mailboxes and stops it when the
// test ends. As root it runs as the user "dovecot".
func StartDovecot(t testing.TB, mailboxes ...string) *Dovecot {
	t.Helper()
	bin, err := exec.LookPath("dovecot")
	if err != nil {
		if bin, err = exec.LookPath("/usr/sbin/dovecot"); err != nil {
			t.Fatalf("dovecot is not installed: run `make test` as root on Debian, or install dovecot-pop3d: %v", err)
		}
	}
	dir, err := os.MkdirTemp("", "mailkeep-dovecot-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &Dovecot{Dir: dir, CAFile: filepath.Join(dir, "ca.pem")}
	d.configure(t, mailboxes)
	d.cmd = exec.Command(bin, "-F", "-c", filepath.Join(dir, "dovecot.conf"))
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: d.owner, Pdeathsig: syscall.SIGTERM}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.stop)
	d.await(t)
	return d
}

func (d *Dovecot) stop() {
	d.cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may have ended
	d.cmd.Wait()                          //nolint:errcheck // its status tells nothing
}

func (d *Dovecot) configure(t testing.TB, mailboxes []string) {
	t.Helper()
	account, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if account, err = user.Lookup("dovecot"); err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.ParseUint(account.Uid, 10, 32)
		gid, _ := strconv.ParseUint(account.Gid, 10, 32)
		d.owner = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	group, err := user.LookupGroupId(account.Gid)
	if err != nil {
		t.Fatal(err)
	}
	writeCerts(t, d.Dir)
	d.POP3, d.POP3S = freePort(t), freePort(t)
	var users strings.Builder
	for _, m := range mailboxes {
		fmt.Fprintf(&users, "%s:{PLAIN}%s::::::nodelay\n", m, Password)
		for _, sub := range []string{"cur", "new", "tmp"} {
			if err := os.MkdirAll(filepath.Join(d.Dir, "mail", m, sub), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	d.write(t, "users", users.String())
	var conf strings.Builder
	if err := dovecotConf.Execute(&conf, map[string]any{
		"Dir": d.Dir, "User": account.Username, "Group": group.Name, "Port": port(d.POP3), "TLSPort": port(d.POP3S),
	}); err != nil {
		t.Fatal(err)
	}
	d.write(t, "dovecot.conf", conf.String())
	if d.owner != nil {
		d.own(t)
	}
}

func (d *Dovecot) write(t testing.TB, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(d.Dir, name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (d *Dovecot) own(t testing.TB) {
	t.Helper()
	err := filepath.WalkDir(d.Dir, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(p, int(d.owner.Uid), int(d.owner.Gid))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Deliver puts a message into a mailbox as a mail server would.
func (d *Dovecot) Deliver(t testing.TB, mailbox string, raw []byte) {
	t.Helper()
	name := fmt.Sprintf("%d.%d.lab", time.Now().Unix(), d.n.Add(1))
	tmp := filepath.Join(d.Dir, "mail", mailbox, "tmp", name)
	if err := os.WriteFile(tmp, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	if d.owner != nil {
		if err := os.Chown(tmp, int(d.owner.Uid), int(d.owner.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(tmp, filepath.Join(d.Dir, "mail", mailbox, "new", name)); err != nil {
		t.Fatal(err)
	}
}

// Count returns how many messages lie in a mailbox, read from the disk.
func (d *Dovecot) Count(t testing.TB, mailbox string) int {
	t.Helper()
	n := 0
	for _, sub := range []string{"cur", "new"} {
		entries, err := os.ReadDir(filepath.Join(d.Dir, "mail", mailbox, sub))
		if err != nil {
			t.Fatal(err)
		}
		n += len(entries)
	}
	return n
}

func (d *Dovecot) await(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if greets(ctx, d.POP3) {
			return
		}
		select {
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(d.Dir, "error.log"))
			t.Fatalf("dovecot does not answer on %s:\n%s", d.POP3, log)
		case <-tick.C:
		}
	}
}

func greets(ctx context.Context, addr string) bool {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	defer c.Close()                                    //nolint:errcheck // it was only a question
	c.SetReadDeadline(time.Now().Add(5 * time.Second)) //nolint:errcheck // a missing deadline shows below
	line, err := bufio.NewReader(c).ReadString('\n')
	return err == nil && strings.HasPrefix(line, "+OK")
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // it was only a question
	return l.Addr().String()
}

func port(addr string) string {
	_, p, _ := net.SplitHostPort(addr)
	return p
}

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
`))
