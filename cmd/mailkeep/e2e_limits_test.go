package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/internal/lab"
)

// measured runs a command, which must succeed, and returns the most resident
// memory that it had, in octets.
func (s *site) measured(args ...string) int64 {
	s.t.Helper()
	return measure(s.t, s.command(args...), nil).peak
}

// A measurement is what a process, or several in a row, took.
type measurement struct {
	wall time.Duration
	cpu  time.Duration // of the processes and their children, not of servers
	peak int64         // most resident memory, in octets
}

// measure runs a process, which must succeed.
func measure(t testing.TB, cmd *exec.Cmd, tick func()) measurement {
	t.Helper()
	m, err := tryMeasure(t, cmd, tick)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// tryMeasure runs a process. Its memory is read from /proc while it runs: what
// wait4 tells includes the memory of the parent, which exec replaced. Unless it
// is nil, tick is called every 20 ms: a process that is looked at more often runs
// slower.
func tryMeasure(t testing.TB, cmd *exec.Cmd, tick func()) (m measurement, err error) {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	ticks := time.NewTicker(20 * time.Millisecond)
	defer ticks.Stop()
	for {
		select {
		case err := <-ended:
			m.wall = time.Since(began)
			m.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
			if err != nil {
				err = fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, tail(out.String()))
			}
			return m, err
		case <-ticks.C:
			m.peak = max(m.peak, highWater(cmd.Process.Pid))
			if tick != nil {
				tick()
			}
		}
	}
}

// highWater returns the peak resident memory of a running process so far.
func highWater(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0 // it has ended
	}
	var kib int64
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			fmt.Sscan(rest, &kib) //nolint:errcheck // 0 shows in the result
		}
	}
	return kib << 10
}

// TestLargeMessage passes a message of 150 MB through the whole line.
func TestLargeMessage(t *testing.T) {
	d := lab.StartDovecot(t, "anna")
	var b bytes.Buffer
	b.WriteString("From: big@example.org\r\nSubject: large\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nThe word riesenbrief is here.\r\n--x\r\nContent-Type: application/octet-stream; name=big.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	for i := 0; b.Len() < 150<<20; i++ {
		h := sha256.Sum256(fmt.Append(nil, i))
		fmt.Fprintf(&b, "%x%x\r\n", h, h[:6])
	}
	b.WriteString("--x--\r\n")
	d.Deliver(t, "anna", b.Bytes())
	want := map[string]map[[32]byte]int{"anna": {sha256.Sum256(b.Bytes()): 1}}
	b.Reset()
	s := newSite(t, d, []string{"anna"}, "")
	m := s.measured("drain", "--once")
	t.Logf("peak memory %d MB", m>>20)
	if m >= 256<<20 {
		t.Errorf("a message of 150 MB took %d MB of memory, 256 are allowed", m>>20)
	}
	if n := d.Count(t, "anna"); n != 0 {
		t.Errorf("%d messages left", n)
	}
	s.judge(want)
	if a := s.search("riesenbrief filename:big.bin", 1); a.Total != 1 {
		t.Errorf("not found: %+v", a)
	}
	if m := s.measured("verify"); m >= 256<<20 {
		t.Errorf("verify took %d MB", m>>20)
	}
}

// TestManyMessages compares the memory of a mailbox with that of one several
// times its size.
func TestManyMessages(t *testing.T) {
	few, many := 2000, 20_000
	d := lab.StartDovecot(t, "few", "many")
	for n := range many {
		raw := fmt.Appendf(nil, "From: a@example.org\r\nSubject: small %d\r\n\r\nSmall message number %d.\r\n", n, n)
		d.Deliver(t, "many", raw)
		if n < few {
			d.Deliver(t, "few", raw)
		}
	}
	peaks := map[string]int64{}
	for _, box := range []string{"few", "many"} {
		s := newSite(t, d, []string{box}, "")
		peaks[box] = s.measured("drain", "--once")
		if n := d.Count(t, box); n != 0 {
			t.Errorf("%d messages left in %s", n, box)
		}
	}
	t.Logf("peak memory: %d messages %d MB, %d messages %d MB", few, peaks["few"]>>20, many, peaks["many"]>>20)
	if grown := peaks["many"] - peaks["few"]; grown > 100<<20 {
		t.Errorf("ten times the messages took %d MB more memory", grown>>20)
	}
}

// TestDiskFull drains into a file system that is too small: nothing is deleted
// that is not sealed, the error says what is wrong, and the running process goes
// on by itself when there is space again.
func TestDiskFull(t *testing.T) {
	boxes := []string{"anna"}
	d := lab.StartDovecot(t, boxes...)
	s := newSite(t, d, boxes, "poll: {interval: 1s}\nnats: {max_store: 64MiB, queue_bytes: 16MiB, hand_over: false}\nmessage: {max_size: 8MiB}\n")
	ledger := filepath.Join(s.archive(), "ledger")
	s.run(0, "drain", "--once") // makes the archive
	files := ledger + ".files"
	if err := os.Rename(ledger, files); err != nil {
		t.Fatal(err)
	}
	mountTmpfs(t, ledger, "size=6m")
	if out, err := exec.Command("cp", "-a", files+"/.", ledger).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	showLogs(t, s.dir)
	want := map[string]map[[32]byte]int{"anna": {}}
	for n := range 60 {
		raw := fmt.Appendf(nil, "From: a@example.org\r\nSubject: noise %d\r\n\r\n%s\r\n", n, noise(n, 256<<10))
		d.Deliver(t, "anna", raw)
		want["anna"][sha256.Sum256(raw)]++
	}
	p := &mortal{t: t, start: func() *exec.Cmd { return logTo(t, s.command("run"), filepath.Join(s.dir, "run.log")) }}
	p.spawn()
	await(t, "the log says that the disk is full", time.Minute, func() bool {
		b, _ := os.ReadFile(filepath.Join(s.dir, "run.log"))
		return strings.Contains(string(b), "no space left on device")
	})
	if got := s.sealed()["anna"]; len(got)+d.Count(t, "anna") < len(want["anna"]) {
		t.Errorf("%d messages sealed, %d on the server, of %d: something is lost", len(got), d.Count(t, "anna"), len(want["anna"]))
	}
	if d.Count(t, "anna") == 0 {
		t.Error("the disk never was full")
	}
	if err := syscall.Mount("tmpfs", ledger, "tmpfs", syscall.MS_REMOUNT, "size=200m"); err != nil {
		t.Fatal(err)
	}
	await(t, "the mailbox is empty after space came back", 2*time.Minute, func() bool { return d.Count(t, "anna") == 0 })
	p.terminate()
	s.judge(want)
	s.run(0, "verify")
}

// noise returns n octets of text that does not compress well.
func noise(seed, n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		h := sha256.Sum256(fmt.Append(nil, seed, i))
		fmt.Fprintf(&b, "%x\r\n", h)
	}
	return b.Bytes()
}

// mountTmpfs mounts a file system of a given size. It needs root, which CI has.
func mountTmpfs(t *testing.T, dir, options string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("mount: %v", err)
		}
		t.Skipf("a small file system can only be mounted by root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}
