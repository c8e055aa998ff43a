package app

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller"
)

// receiptWait is how long the drains of this file wait for receipts that a death
// has swallowed; what is sealed the next session learns from the catalog.
const receiptWait = time.Second

// thorough reports whether all points are gone through, each of which takes some
// seconds of waiting for connections and leases: `make crash` asks for it.
func thorough() bool { return os.Getenv("MAILKEEP_KILLS") != "" }

// drainHere drains a victim's mailbox from this process, and does what blow says
// at a point.
func (k *victim) drainHere(point string, blow func()) {
	k.t.Helper()
	a, err := New(k.t.Context(), k.config(), []Role{RolePoller}, Console{Logs: &k.logs})
	if err != nil {
		k.t.Fatal(err)
	}
	k.awaitArchive(a)
	o, err := a.pollerOptions()
	if err != nil {
		k.t.Fatal(err)
	}
	o.Mailboxes[0].ReceiptWait = receiptWait
	f := newFuse(point)
	f.blow = blow
	f.into(&o)
	if a.poller, err = poller.New(o); err != nil {
		k.t.Fatal(err)
	}
	if _, err := a.poller.Once(k.t.Context()); err != nil {
		k.t.Error(err)
	}
	if f.point != "" && f.left.Load() > 0 {
		k.t.Errorf("point %q was not reached: the test tests nothing", point)
	}
	k.awaitArchive(a)
	if err := a.Stop(k.t.Context()); err != nil {
		k.t.Error(err)
	}
	k.whole()
}

// awaitArchive waits until the owner of the archive answers.
func (k *victim) awaitArchive(a *App) {
	k.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 1000 {
		if _, err := a.bus.Lookup(k.t.Context(), k.mailbox, []mail.Listing{{UIDL: "x"}}); err == nil {
			return
		}
		<-tick.C
	}
	k.t.Fatal("the archive does not answer")
}

// TestK16QueueKilled kills nats-server under poller and archive, which go on. It
// comes back with its store, or without anything, as after a power cut that took
// all it had not synced.
func TestK16QueueKilled(t *testing.T) {
	t.Parallel()
	v, owner := sharedVault(t)
	for _, lose := range []bool{false, true} {
		points := []string{"commit.after"}
		if thorough() {
			points = []string{"lookup.after", "write 15", "commit.before 2", "commit.after", "receipt", "checked", "save.before"}
		}
		for _, point := range points {
			name := point
			if lose {
				name += ", store lost"
			}
			t.Run(name, func(t *testing.T) {
				k := newVictim(t, v, t.Name(), "plain")
				k.drainHere(point, func() {
					v.queue.Kill()
					if lose {
						if err := os.RemoveAll(v.queue.Dir); err != nil {
							t.Error(err)
						}
					}
					v.queue.Restart()
				})
				k.settle()
			})
		}
	}
	verifyClean(t, owner)
}

// An ownerProcess is the process that owns an archive.
type ownerProcess struct {
	t    *testing.T
	file string
	cmd  *exec.Cmd
}

func (o *ownerProcess) spawn() {
	o.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		o.t.Fatal(err)
	}
	o.cmd = exec.Command(exe)
	o.cmd.Env = append(os.Environ(), envConfig+"="+o.file, envRoles+"="+string(RoleArchive))
	o.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	o.cmd.Stderr = o.t.Output()
	if err := o.cmd.Start(); err != nil {
		o.t.Fatal(err)
	}
}

func (o *ownerProcess) kill() {
	o.cmd.Process.Kill() //nolint:errcheck // it may have ended
	o.cmd.Wait()         //nolint:errcheck // killed
}

// TestK16ArchiveKilled kills the owner of the archive: before anything is
// published, while messages wait for it, between the fdatasync and the receipt,
// and with the first receipt given. The poller goes on.
func TestK16ArchiveKilled(t *testing.T) {
	t.Parallel()
	v := behindQueue(t)
	wire := newWiretap(t, v.queue.URL)
	file := filepath.Join(t.TempDir(), "mailkeep.yaml")
	if err := os.WriteFile(file, []byte(v.yaml(wire.url)), 0o600); err != nil {
		t.Fatal(err)
	}
	o := &ownerProcess{t: t, file: file}
	o.spawn()
	defer func() { o.kill() }()
	for _, point := range []string{"lookup.after", "write 15", "commit.before 2", "commit.after", "receipt"} {
		t.Run(point, func(t *testing.T) {
			k := newVictim(t, v, t.Name(), "plain")
			k.drainHere(point, func() { o.kill(); o.spawn() })
			k.settle()
		})
	}
	t.Run("sealed, no receipt sent", func(t *testing.T) {
		k := newVictim(t, v, t.Name(), "plain")
		met := wire.at([]byte(`{"receipt":{`), func() { o.kill(); o.spawn() })
		k.drainHere("", nil)
		select {
		case <-met:
		default:
			t.Error("no receipt was sent: the test tests nothing")
		}
		k.settle()
	})
	verifyClean(t, load(t, v.yaml(v.queue.URL)))
}

// A wiretap lies between the archive and its NATS server, and sees what the
// archive sends.
type wiretap struct {
	t      *testing.T
	url    string
	target string
	conns  sync.WaitGroup

	mu   sync.Mutex
	what []byte
	blow func()
	met  chan struct{}
}

func newWiretap(t *testing.T, server string) *wiretap {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wiretap{t: t, url: "nats://" + l.Addr().String(), target: u.Host}
	w.conns.Go(func() { w.serve(l) })
	t.Cleanup(func() {
		l.Close()
		w.conns.Wait()
	})
	return w
}

// at does what blow says, once, when the archive sends what, which goes no
// further. The channel is closed then.
func (w *wiretap) at(what []byte, blow func()) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.what, w.blow, w.met = what, blow, make(chan struct{})
	return w.met
}

func (w *wiretap) serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		s, err := net.Dial("tcp", w.target)
		if err != nil {
			c.Close()
			continue
		}
		w.conns.Go(func() {
			defer c.Close()
			io.Copy(c, s) //nolint:errcheck // an end of either is an end of both
		})
		w.conns.Go(func() {
			defer s.Close()
			w.pass(c, s)
		})
	}
}

func (w *wiretap) pass(from, to net.Conn) {
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if blow := w.struck(buf[:n]); blow != nil {
			blow()
			return
		}
		if _, werr := to.Write(buf[:n]); errors.Join(err, werr) != nil {
			return
		}
	}
}

// struck returns what is to happen now that p was sent, or nil.
func (w *wiretap) struck(p []byte) func() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.blow == nil || !bytes.Contains(p, w.what) {
		return nil
	}
	blow := w.blow
	w.blow = nil
	close(w.met)
	return blow
}
