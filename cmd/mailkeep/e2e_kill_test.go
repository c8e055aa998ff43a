package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/internal/bus/bustest"
	"github.com/mailkeep/mailkeep/internal/lab"
)

// kills is how many processes a kill test ends by SIGKILL: few by default, so
// that it may run with all tests; MAILKEEP_KILLS=200 in `make crash`.
func kills(t *testing.T) int {
	t.Helper()
	v := os.Getenv("MAILKEEP_KILLS")
	if v == "" {
		return 8
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		t.Fatalf("MAILKEEP_KILLS=%q is not a number of kills", v)
	}
	return n
}

// A feeder delivers mail to a Dovecot and remembers what it delivered.
type feeder struct {
	d     *lab.Dovecot
	boxes []string
	mix   *lab.Mix
	want  map[string]map[[32]byte]int
	n     int
}

func newFeeder(d *lab.Dovecot, boxes []string) *feeder {
	f := &feeder{d: d, boxes: boxes, mix: lab.NewMix(99), want: map[string]map[[32]byte]int{}}
	for _, b := range boxes {
		f.want[b] = map[[32]byte]int{}
	}
	return f
}

// deliver adds n messages. They have CR LF line ends, so that the bytes
// delivered are the bytes served. Every tenth goes to all mailboxes.
func (f *feeder) deliver(t testing.TB, n int) {
	for range n {
		f.n++
		raw := fmt.Appendf(nil, "From: feeder@example.org\r\nSubject: number %d\r\nMessage-ID: <%d@feeder>\r\n\r\nThe word nummer%d stands here.\r\n", f.n, f.n, f.n)
		if f.n%25 == 0 { // now and then a larger one, beyond what the queue carries inline
			raw = append(raw, crlf(f.mix.Message(f.n, 99))...)
			for len(raw) < 1<<21 {
				raw = append(raw, raw...)
			}
			raw = append(raw, fmt.Sprintf("end of %d\r\n", f.n)...)
		}
		boxes := f.boxes[f.n%len(f.boxes):][:1]
		if f.n%10 == 0 {
			boxes = f.boxes
		}
		for _, b := range boxes {
			f.d.Deliver(t, b, raw)
			f.want[b][sha256.Sum256(raw)]++
		}
	}
}

func crlf(b []byte) []byte {
	out := make([]byte, 0, len(b)+len(b)/40)
	for _, c := range b {
		if c == '\n' {
			out = append(out, '\r')
		}
		out = append(out, c)
	}
	return out
}

// run feeds until ctx ends.
func (f *feeder) run(ctx context.Context, t testing.TB) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f.deliver(t, 3)
		}
	}
}

func (f *feeder) left(t testing.TB) int {
	n := 0
	for _, b := range f.boxes {
		n += f.d.Count(t, b)
	}
	return n
}

// A victim is a process that is killed and started again.
type victim interface {
	spawn()
	kill()
}

// A mortal is a mailkeep process. If it ends by itself, it is started again, as
// a supervisor would; too often is a fault.
type mortal struct {
	t     *testing.T
	start func() *exec.Cmd
	stop  chan os.Signal // what to end it by
	ended chan error     // told once it has ended for good
	falls atomic.Int64   // how often it ended by itself
	alive bool
	once  sync.Once
}

func (m *mortal) spawn() {
	m.t.Helper()
	cmd := m.launch()
	if cmd == nil {
		m.t.FailNow()
	}
	m.once.Do(func() { m.t.Cleanup(m.kill) }) // if the test fails
	m.stop, m.ended, m.alive = make(chan os.Signal, 1), make(chan error, 1), true
	go m.supervise(cmd)
}

// launch starts a process; nil if it cannot be started.
func (m *mortal) launch() *exec.Cmd {
	cmd := m.start()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		m.t.Error(err)
		return nil
	}
	return cmd
}

// supervise runs a process, and the next one each time that it ends by itself,
// until it is told to stop.
func (m *mortal) supervise(cmd *exec.Cmd) {
	for {
		exited := make(chan error, 1)
		go func() { exited <- cmd.Wait() }()
		select {
		case sig := <-m.stop:
			cmd.Process.Signal(sig) //nolint:errcheck // it may have ended
			m.ended <- <-exited
			return
		case err := <-exited:
			m.falls.Add(1)
			m.t.Logf("%v ended by itself: %v", cmd.Args, err)
		}
		select {
		case <-m.stop:
			m.ended <- errors.New("it had ended by itself")
			return
		case <-time.After(200 * time.Millisecond):
		}
		if cmd = m.launch(); cmd == nil {
			m.ended <- errors.New("it cannot be started")
			return
		}
	}
}

func (m *mortal) kill() {
	if !m.alive {
		return
	}
	m.alive = false
	m.stop <- syscall.SIGKILL
	<-m.ended // its status tells nothing
}

// terminate asks the process to stop and expects that it does so in order.
func (m *mortal) terminate() {
	m.t.Helper()
	m.alive = false
	m.stop <- syscall.SIGTERM
	if err := <-m.ended; err != nil {
		m.t.Errorf("the process did not stop in order: %v", err)
	}
}

// logTo keeps what a process logs where a failed test shows it.
func logTo(t *testing.T, cmd *exec.Cmd, name string) *exec.Cmd {
	t.Helper()
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	cmd.Stdout, cmd.Stderr = f, f
	return cmd
}

func showLogs(t *testing.T, dir string) {
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		logs, _ := filepath.Glob(filepath.Join(dir, "*.log"))
		for _, l := range logs {
			b, _ := os.ReadFile(l)
			t.Logf("%s:\n%s", filepath.Base(l), tail(string(b)))
		}
	})
}

// massacre kills random processes at random moments.
func massacre(t *testing.T, processes []victim, n int, longest time.Duration) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	for _, p := range processes {
		p.spawn()
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for range n {
		timer.Reset(time.Duration(rng.Int64N(int64(longest))))
		<-timer.C
		p := processes[rng.IntN(len(processes))]
		p.kill()
		p.spawn()
	}
}

// A forgetful victim loses files each time that it dies.
type forgetful struct {
	victim
	forget func()
}

func (f forgetful) kill() {
	f.victim.kill()
	f.forget()
}

// TestKillOneProcess kills the whole product while its mailboxes are filled.
func TestKillOneProcess(t *testing.T) {
	killOneProcess(t, kills(t), nil)
}

// TestKillAndLoseTransport does so and deletes the store of the embedded queue
// each time.
func TestKillAndLoseTransport(t *testing.T) {
	killOneProcess(t, (kills(t)+1)/2, func(archive string, _ int) []string { return []string{filepath.Join(archive, "nats")} })
}

// TestKillAndLoseViews does so and deletes the catalog, the index or both.
func TestKillAndLoseViews(t *testing.T) {
	killOneProcess(t, (kills(t)+1)/2, func(archive string, n int) []string {
		views := []string{filepath.Join(archive, "catalog"), filepath.Join(archive, "index")}
		return [][]string{views[:1], views[1:], views}[n%3]
	})
}

// killOneProcess kills the product n times. After the i-th time it deletes what
// lose names.
func killOneProcess(t *testing.T, n int, lose func(archive string, i int) []string) {
	t.Helper()
	boxes := []string{"anna", "bela", "carl"}
	d := lab.StartDovecot(t, boxes...)
	s := newSite(t, d, boxes, "poll: {interval: 1s}\n")
	showLogs(t, s.dir)
	f := newFeeder(d, boxes)
	f.deliver(t, 200)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { f.run(ctx, t) })
	p := &mortal{t: t, start: func() *exec.Cmd { return logTo(t, s.command("run"), filepath.Join(s.dir, "run.log")) }}
	deaths := 0
	massacre(t, []victim{forgetful{p, func() {
		deaths++
		if lose != nil {
			remove(t, lose(s.archive(), deaths)...)
		}
	}}}, n, 3*time.Second)
	stop()
	wg.Wait()
	await(t, "the mailboxes are empty", 3*time.Minute, func() bool { return f.left(t) == 0 })
	p.terminate()
	if n := p.falls.Load(); n > 0 {
		t.Errorf("the process ended %d times by itself", n)
	}
	s.settled(f)
}

func remove(t *testing.T, names ...string) {
	for _, name := range names {
		if err := os.RemoveAll(name); err != nil {
			t.Error(err)
		}
	}
}

// settled expects an archive at rest that holds what was fed, exactly once, and
// views that agree with it.
func (s *site) settled(f *feeder) {
	s.t.Helper()
	s.run(0, "drain", "--once")
	s.judge(f.want)
	s.run(0, "verify")
	for _, n := range []int{1, 25, f.n / 2, f.n} {
		want := uint64(1)
		if n%10 == 0 {
			want = uint64(len(f.boxes))
		}
		if a := s.search(fmt.Sprintf("nummer%d", n), 10); a.Total != want || !a.Coverage.Complete {
			s.t.Errorf("message %d is found %d times, want %d; coverage %+v", n, a.Total, want, a.Coverage)
		}
	}
}

// A natsServer is a nats-server, which keeps its store when it is killed.
type natsServer struct{ *bustest.Server }

func (n natsServer) kill() { n.Kill() }
func (n natsServer) spawn() {
	n.Kill() // the first time it runs already
	n.Restart()
}

// TestKillRoles kills pollers, archive, index and nats-server, each a process
// of its own.
func TestKillRoles(t *testing.T) {
	killRoles(t, kills(t), false)
}

// TestKillRolesAndLoseTransport does so with a nats-server that loses its store
// when it is killed, under the processes that use it.
func TestKillRolesAndLoseTransport(t *testing.T) {
	killRoles(t, (kills(t)+1)/2, true)
}

func killRoles(t *testing.T, n int, lose bool) {
	t.Helper()
	boxes := []string{"anna", "bela", "carl"}
	d := lab.StartDovecot(t, boxes...)
	queue := bustest.SpawnServer(t)
	s := newSite(t, d, boxes, fmt.Sprintf("poll: {interval: 1s}\nnats: {url: %q, lease: 5s}\n", queue.URL))
	showLogs(t, s.dir)
	f := newFeeder(d, boxes)
	f.deliver(t, 100)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { f.run(ctx, t) })
	role := func(name, role string) *mortal {
		return &mortal{t: t, start: func() *exec.Cmd {
			return logTo(t, s.command("run", "--role", role), filepath.Join(s.dir, name+".log"))
		}}
	}
	roles := []*mortal{role("archive", "archive"), role("index", "index"), role("poller-1", "poller"), role("poller-2", "poller")}
	processes := []victim{natsServer{queue}}
	if lose {
		processes[0] = forgetful{processes[0], func() { remove(t, queue.Dir) }}
	}
	for _, r := range roles {
		processes = append(processes, r)
	}
	massacre(t, processes, n, 3*time.Second)
	if lose { // once at least
		processes[0].kill()
		processes[0].spawn()
	}
	stop()
	wg.Wait()
	await(t, "the mailboxes are empty", 4*time.Minute, func() bool { return f.left(t) == 0 })
	await(t, "the index has everything", time.Minute, func() bool { return s.search(fmt.Sprintf("nummer%d", f.n), 1).Coverage.Complete })
	for _, r := range slices.Backward(roles) {
		r.terminate()
	}
	queue.Kill()
	s.judge(f.want)
	s.run(0, "verify")
}
