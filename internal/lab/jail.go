package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// A jail is a system of its own for one server: a copy of the root directory
// that servers.sh unpacked, in which the server runs by chroot. Debian's POP3
// servers conflict with one another and read fixed places, such as /var/mail
// and /etc/passwd; here they are the test's.
type jail struct {
	dir   string
	users map[string]int // mailboxes and their user ids
}

// Missing says why the lab cannot run a server on this system; "" if it can.
func Missing(name string) string {
	if name == "dovecot" {
		return ""
	}
	root, err := unpacked(name)
	switch {
	case err != nil:
		return err.Error()
	case os.Getuid() != 0:
		return "it runs by chroot, which takes root"
	}
	if _, err := os.Stat(root); err != nil {
		return fmt.Sprintf("it is not unpacked, see internal/lab/servers.sh: %v", err)
	}
	return ""
}

// unpacked returns the root directory that servers.sh makes for a server.
func unpacked(name string) (string, error) {
	if dir := os.Getenv("MAILKEEP_SERVERS"); dir != "" {
		return filepath.Join(dir, name), nil
	}
	cache, err := os.UserCacheDir()
	return filepath.Join(cache, "mailkeep", "servers", name), err
}

// newJail copies the system of a server and makes a user of each mailbox. Where
// the server is missing the test is skipped, and `make test` names it at its
// end; as root on a system that has apt-get, and in CI, it fails.
func newJail(t testing.TB, name string, mailboxes []string) *jail {
	t.Helper()
	if why := Missing(name); why != "" {
		_, err := exec.LookPath("apt-get")
		if os.Getenv("CI") != "" || err == nil && os.Getuid() == 0 {
			t.Fatalf("%s cannot be run: %s; run make servers", name, why)
		}
		t.Skipf("NOT TESTED: %s cannot be run: %s", name, why)
	}
	root, err := unpacked(name)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "mailkeep-"+name+"-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	j := &jail{dir: dir, users: make(map[string]int)}
	if err := copyTree(root, dir); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"dev", "tmp", "run/lock", "var/tmp", "var/empty", "mail"} {
		j.mkdir(t, d)
	}
	for name, target := range map[string]string{"var/run": "/run", "var/lock": "/run/lock"} {
		if err := os.Symlink(target, j.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	j.devices(t)
	j.accounts(t, mailboxes)
	return j
}

// copyTree copies a tree by hard links where it can. What is linked is never
// written to: jail.write makes a new file.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(p, from))
		switch {
		case p == from:
			return os.Chmod(to, 0o755)
		case e.IsDir():
			return os.Mkdir(target, 0o755)
		case e.Type()&fs.ModeSymlink != 0:
			dest, err := os.Readlink(p)
			if err != nil {
				return err
			}
			return os.Symlink(dest, target)
		}
		if err := os.Link(p, target); !errors.Is(err, syscall.EXDEV) {
			return err
		}
		return copyFile(p, target)
	})
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, info.Mode().Perm())
}

// devices makes the device files that libraries open.
func (j *jail) devices(t testing.TB) {
	t.Helper()
	for name, minor := range map[string]int{"null": 3, "zero": 5, "random": 8, "urandom": 9} {
		const memory = 1 << 8 // the major number
		p := j.path("dev/" + name)
		if err := syscall.Mknod(p, syscall.S_IFCHR|0o666, memory|minor); err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		if err := os.Chmod(p, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// firstUser is the user id of the first mailbox; mailGroup the group of all.
const (
	firstUser  = 20001
	mailGroup  = 8
	serverUser = 19999 // of servers that want one of their own
)

// passwordHash is crypt(3) of Password.
const passwordHash = "$6$lab$TDbuvt5s2HjCJoaio.GkA1YLrPfyPmQpfdfv9eFHXcYGOSjT1mRH0.spkLcDvbXUD3gSrcHB8dSqDogpAEH7Z/"

// accounts writes /etc/passwd and its like: root, the users that the servers
// run as, and one user for each mailbox.
func (j *jail) accounts(t testing.TB, mailboxes []string) {
	t.Helper()
	passwd, shadow := "root:x:0:0::/:/bin/sh\n", "root:*:19000:0:99999:7:::\n"
	for _, name := range []string{"cyrus", "courier", "daemon", "popa3d", "spop3d", "solid-pop3d", "nobody"} {
		passwd += fmt.Sprintf("%s:x:%d:%d::/:/bin/sh\n", name, serverUser, mailGroup)
	}
	for i, m := range mailboxes {
		j.users[m] = firstUser + i
		passwd += fmt.Sprintf("%s:x:%d:%d::/mail/%s:/bin/sh\n", m, j.users[m], mailGroup, m)
		shadow += fmt.Sprintf("%s:%s:19000:0:99999:7:::\n", m, passwordHash)
	}
	j.write(t, "etc/passwd", passwd, 0o644)
	j.write(t, "etc/shadow", shadow, 0o600)
	j.write(t, "etc/group", fmt.Sprintf("root:x:0:\nmail:x:%d:\ncourier:x:%d:\ndaemon:x:%d:\n", mailGroup, mailGroup, mailGroup), 0o644)
	j.write(t, "etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files\nservices: files\n", 0o644)
	j.write(t, "etc/hosts", "127.0.0.1 localhost\n", 0o644)
	j.write(t, "etc/services", "pop3 110/tcp\npop3s 995/tcp\n", 0o644)
}

// owner returns who owns a mailbox.
func (j *jail) owner(mailbox string) (uid, gid int) { return j.users[mailbox], mailGroup }

// pam lets a service check passwords against /etc/shadow.
func (j *jail) pam(t testing.TB, service string) {
	t.Helper()
	for _, name := range []string{service, "other"} { // a fallback with faults makes all fail
		j.write(t, "etc/pam.d/"+name, "auth required pam_unix.so\naccount required pam_permit.so\n", 0o644)
	}
}

// path returns where a path of the jail lies outside of it.
func (j *jail) path(p string) string { return filepath.Join(j.dir, p) }

func (j *jail) mkdir(t testing.TB, p string) {
	t.Helper()
	if err := os.MkdirAll(j.path(p), 0o755); err != nil {
		t.Fatal(err)
	}
}

// write replaces a file.
func (j *jail) write(t testing.TB, p, content string, mode fs.FileMode) {
	t.Helper()
	j.mkdir(t, filepath.Dir(p))
	if err := os.Remove(j.path(p)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if err := os.WriteFile(j.path(p), []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

// own gives a tree of the jail to a user.
func (j *jail) own(t testing.TB, p string, uid int) {
	t.Helper()
	if err := own(j.path(p), uid, mailGroup); err != nil {
		t.Fatal(err)
	}
}

// own gives a tree to a user and group.
func own(dir string, uid, gid int) error {
	return filepath.WalkDir(dir, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, uid, gid)
	})
}

// command prepares a process in the jail.
func (j *jail) command(program string, args ...string) *exec.Cmd {
	return &exec.Cmd{
		Path: program, Args: append([]string{program}, args...), Dir: "/",
		Env:         []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"},
		SysProcAttr: &syscall.SysProcAttr{Chroot: j.dir},
	}
}

// run runs a program in the jail to its end.
func (j *jail) run(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
}

// inetd answers each connection on a free port with a process whose standard
// input and output are the connection, as the program of that name does, and
// returns the address. It ends with the test.
func (j *jail) inetd(t testing.TB, program string, args ...string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { serve(ctx, j.command(program, args...), c.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() {
		l.Close() //nolint:errcheck // it was only listening
		cancel()
		running.Wait()
	})
	return l.Addr().String()
}

// serve runs a process on a connection until it ends, which it does when the
// client has gone, or ctx is done. A client whose process fails sees its
// connection closed.
func serve(ctx context.Context, cmd *exec.Cmd, c *net.TCPConn) {
	f, err := c.File()
	c.Close() //nolint:errcheck // f is the connection now
	if err != nil {
		return
	}
	cmd.Stdin, cmd.Stdout = f, f
	err = cmd.Start()
	f.Close() //nolint:errcheck // the process has its own
	if err != nil {
		return
	}
	stop := context.AfterFunc(ctx, func() { cmd.Process.Kill() }) //nolint:errcheck // it may have ended
	cmd.Wait()                                                    //nolint:errcheck // its status tells nothing
	stop()
}
