package lab

import (
	"bufio"
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Password is the password of every mailbox of the lab's servers.
const Password = "secret-of-the-lab"

// A Server is a running POP3 server that we did not write. Its mailboxes are
// named when it is started; each has Password. What it stores is read and
// written beside it, so that a test need not believe what it says.
type Server interface {
	// Address is where it speaks POP3 in the clear, host:port on loopback.
	Address() string
	// Deliver puts messages into a mailbox as a delivery agent would, in their
	// order. Lines end in LF, as is the custom on Unix; what departs from that is
	// stored as it is. No session may be open on the mailbox.
	Deliver(t testing.TB, mailbox string, raw ...[]byte)
	// Contents returns what a mailbox holds on the disk, as the server stores
	// it: line ends and escapes may differ from what was delivered.
	Contents(t testing.TB, mailbox string) [][]byte
	// Count returns how many messages lie in a mailbox on the disk.
	Count(t testing.TB, mailbox string) int
}

// Servers are the servers that Start knows, by name.
var Servers = []string{"dovecot", "courier", "popa3d", "cyrus", "mailutils", "solid"}

// Start starts the named server with the mailboxes and stops it when the test
// ends. A server that this system cannot run skips the test, see Missing.
func Start(t testing.TB, name string, mailboxes ...string) Server {
	t.Helper()
	switch name {
	case "dovecot":
		return StartDovecot(t, mailboxes...)
	case "courier":
		return StartCourier(t, mailboxes...)
	case "popa3d":
		return StartPopa3d(t, mailboxes...)
	case "cyrus":
		return StartCyrus(t, mailboxes...)
	case "mailutils":
		return StartMailutils(t, mailboxes...)
	case "solid":
		return StartSolid(t, mailboxes...)
	}
	t.Fatalf("the lab has no server %q", name)
	return nil
}

// start runs a server's process in a group of its own, with its output in log.
// It ends with the test, its children too, or when the function returned is
// called.
func start(t testing.TB, cmd *exec.Cmd, log string) (end func()) {
	t.Helper()
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close() //nolint:errcheck // the process has its own
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end = sync.OnceFunc(func() {
		group := -cmd.Process.Pid
		syscall.Kill(group, syscall.SIGTERM) //nolint:errcheck // it may have ended
		late := time.AfterFunc(5*time.Second, func() { syscall.Kill(group, syscall.SIGKILL) })
		cmd.Wait() //nolint:errcheck // its status tells nothing
		late.Stop()
		syscall.Kill(group, syscall.SIGKILL) //nolint:errcheck // children that outlive it
	})
	t.Cleanup(end)
	return end
}

// await waits for the greeting of a server; log is shown if none comes.
func await(t testing.TB, addr, log string) {
	t.Helper()
	until(t, log, func(ctx context.Context) bool { return greets(ctx, addr) })
}

// until polls a condition, for twenty seconds at most; log is shown if it does
// not come true.
func until(t testing.TB, log string, ok func(context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok(ctx) {
		select {
		case <-ctx.Done():
			text, _ := os.ReadFile(log)
			t.Fatalf("the server is not ready:\n%s", text)
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
