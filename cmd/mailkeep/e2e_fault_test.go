package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mailkeep/mailkeep/internal/lab"
)

// A fault is what strace does to the system calls of a process. It counts them
// for each thread, so that "the second fdatasync fails" may happen once for
// several threads: more faults than are named, never fewer.
type fault struct {
	on   []string // names below the archive, or absolute ones; none: every file
	call string   // of the system call
	does string   // error=EIO, signal=KILL
	when string   // 1, 2, 3+; which call of a thread
	says string   // what the log must tell then; empty if the process dies
}

const (
	firstSegment = "ledger/0000/0000000000000000.seg.open"
	firstCopy    = "ledger/0000/0000000000000000.seg.recover"
	ledgerFiles  = "ledger/0000" // the directory: its fsync, and what is linked or removed in it
)

func (f fault) kills() bool { return strings.HasPrefix(f.does, "signal=KILL") }

func (f fault) String() string {
	name := fmt.Sprintf("%s:%s:when=%s", f.call, f.does, f.when)
	if len(f.on) > 0 {
		name += ":" + strings.ReplaceAll(f.on[0], "/", "!")
	}
	return name
}

// strace returns a command that runs cmd with the fault. What was done to it is
// written to trace.
func (f fault) strace(t testing.TB, s *site, cmd *exec.Cmd, trace string) *exec.Cmd {
	t.Helper()
	bin, err := exec.LookPath("strace")
	if err != nil {
		t.Fatalf("strace is not installed: run `make servers` as root on Debian, or install it: %v", err)
	}
	args := []string{bin, "-f", "-qqq", "-o", trace, "-e", "signal=none", "-e", "trace=" + f.call, "-e", fmt.Sprintf("inject=%s:%s:when=%s", f.call, f.does, f.when)}
	if !f.kills() {
		args = append(args, "--seccomp-bpf") // faster, but strace then loses the signals that it is to send
	}
	for _, name := range f.on {
		if !filepath.IsAbs(name) {
			name = filepath.Join(s.archive(), name)
		}
		args = append(args, "-P", name)
	}
	self := filepath.Join(s.dir, "mailkeep") // the name that it goes by
	if err := os.Symlink(cmd.Path, self); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	args = append(args, self)
	return &exec.Cmd{Path: bin, Args: append(args, cmd.Args[1:]...), Env: cmd.Env}
}

// suffer drains once with the fault and returns the exit status, what was
// logged, and how often the fault struck. A process that does not end is a
// failure.
func (s *site) suffer(f fault) (status int, log string, struck int) {
	s.t.Helper()
	return s.hit(f, "drain", "--once")
}

// hit runs a command with the fault, and returns as suffer does.
func (s *site) hit(f fault, args ...string) (status int, log string, struck int) {
	s.t.Helper()
	trace := filepath.Join(s.dir, "trace")
	cmd := f.strace(s.t, s, s.command(args...), trace)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		s.t.Fatal(err)
	}
	b, err := os.ReadFile(trace)
	if err != nil {
		s.t.Fatal(err)
	}
	struck = bytes.Count(b, []byte("(INJECTED)"))
	if f.kills() && cmd.ProcessState.ExitCode() == -1 { // strace dies as what it traces
		struck = 1
	}
	return cmd.ProcessState.ExitCode(), out.String(), struck
}

// onServer returns the digests of the messages that lie in a mailbox.
func onServer(t testing.TB, d *lab.Dovecot, box string) map[[32]byte]bool {
	t.Helper()
	left := map[[32]byte]bool{}
	err := filepath.WalkDir(filepath.Join(d.Dir, "mail", box), func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(strings.SplitN(e.Name(), ":", 2)[0], ".lab") {
			return err
		}
		b, err := os.ReadFile(p)
		left[sha256.Sum256(b)] = true
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return left
}

// promised expects that each message is sealed or still on the server.
func (s *site) promised(d *lab.Dovecot, box string, want map[[32]byte]int) {
	s.t.Helper()
	got := map[[32]byte]int{}
	if _, err := os.Stat(filepath.Join(s.archive(), ledgerFiles)); err == nil {
		got = s.sealed()[box]
	}
	left := onServer(s.t, d, box)
	for digest := range want {
		if got[digest] == 0 && !left[digest] {
			s.t.Fatalf("message %x is neither sealed nor on the server", digest)
		}
	}
}

// ordeal drains a mailbox once for each fault, and then without any: nothing is
// lost, nothing is twice, every error is told. A warm archive was made before. It
// returns how often the faults struck.
func ordeal(t *testing.T, d *lab.Dovecot, box string, warm bool, faults ...fault) (struck int) {
	t.Helper()
	s := newSite(t, d, []string{box}, "")
	config, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	config = bytes.Replace(config, []byte("archive: {"), []byte("archive: {segment_size: 1MiB, "), 1)
	if err := os.WriteFile(s.config, config, 0o600); err != nil {
		t.Fatal(err)
	}
	if warm {
		s.run(0, "drain", "--once")
	}
	want := map[string]map[[32]byte]int{box: fill(t, d, box)}
	for _, f := range faults {
		status, log, n := s.suffer(f)
		struck += n
		t.Logf("%v struck %d times; status %d, %d messages left", f, n, status, d.Count(t, box))
		switch {
		case status < 0 && !f.kills():
			t.Errorf("the process died:\n%s", tail(log))
		case n > 0 && !strings.Contains(log, f.says):
			t.Errorf("the log does not say %q:\n%s", f.says, tail(log))
		case status == 0 && d.Count(t, box) > 0:
			t.Errorf("the process returned success with %d messages left:\n%s", d.Count(t, box), tail(log))
		case status > 0 && d.Count(t, box) == 0 && !strings.Contains(log, "error:"):
			t.Errorf("status %d without an error:\n%s", status, tail(log))
		}
		s.promised(d, box, want[box])
		if t.Failed() {
			t.Logf("the log:\n%s", tail(log))
		}
	}
	s.run(0, "drain", "--once")
	if n := d.Count(t, box); n > 0 {
		t.Errorf("%d messages left", n)
	}
	s.judge(want)
	s.run(0, "verify")
	if a := s.search("subject:ordeal", 1); int(a.Total) != len(want[box]) || !a.Coverage.Complete {
		t.Errorf("%d of %d messages are found; coverage %+v", a.Total, len(want[box]), a.Coverage)
	}
	return struck
}

// fill delivers small messages, and two that are larger than a segment.
func fill(t testing.TB, d *lab.Dovecot, box string) map[[32]byte]int {
	want := map[[32]byte]int{}
	for n := range 12 {
		size := 2000 * n
		if n == 3 || n == 9 {
			size = 1200 << 10
		}
		raw := fmt.Appendf(nil, "From: a@example.org\r\nSubject: ordeal %d of %s\r\n\r\n%s\r\n", n, box, noise(n, size))
		d.Deliver(t, box, raw)
		want[sha256.Sum256(raw)]++
	}
	return want
}

const (
	saysEIO    = "input/output error"
	saysENOSPC = "no space left on device"
)

// ordeals goes through the cases, each of which must happen.
func ordeals(t *testing.T, warm bool, cases [][]fault) {
	d := lab.StartDovecot(t, "anna")
	for _, faults := range cases {
		t.Run(faults[0].String(), func(t *testing.T) {
			if ordeal(t, d, "anna", warm, faults...) == 0 {
				t.Error("the fault did not happen: the test tests nothing")
			}
		})
	}
}

// TestFaults makes system calls on the ledger's files fail, or kills the process
// in the middle of them.
func TestFaults(t *testing.T) {
	segment, dir := []string{firstSegment}, []string{ledgerFiles}
	ordeals(t, false, [][]fault{
		{{segment, "fdatasync", "error=EIO", "1", saysEIO}},
		{{segment, "write", "error=EIO", "1", saysEIO}},
		{{segment, "write", "error=ENOSPC", "2+", saysENOSPC}},
		{{dir, "linkat", "error=EIO", "1", saysEIO}},
		{{segment, "write", "signal=KILL", "1", ""}},
		{{dir, "linkat", "signal=KILL", "1", ""}, {[]string{firstCopy}, "fdatasync", "error=EIO", "1", saysEIO}},
	})
}

// TestK15RewritesCut kills the process in what rewrites files in place of others:
// the seal of a segment and the next one's beginning, and the transactions of the
// catalog. What is there afterwards is the old or the new, never a torn one.
func TestK15RewritesCut(t *testing.T) {
	catalog, dir := []string{"catalog/0000.bolt"}, []string{ledgerFiles}
	ordeals(t, false, [][]fault{
		{{dir, "fsync", "signal=KILL", "1", ""}}, // there is a new segment
		{{dir, "fsync", "signal=KILL", "2", ""}}, // it has both names
		{{dir, "unlinkat", "signal=KILL", "1", ""}},
		{{catalog, "pwrite64", "signal=KILL", "6", ""}},
		{{catalog, "fdatasync", "signal=KILL", "1", ""}},
	})
}

// TestFaultsOfViews makes system calls on what can be made anew fail: the
// archive is unharmed, and the next process puts the rest right.
func TestFaultsOfViews(t *testing.T) {
	const raw, index = "nats/jetstream/$G/streams/RAW/", "index/0000/00000001/bleve/store/"
	var zaps []string
	for n := range 40 {
		zaps = append(zaps, fmt.Sprintf("%s%012x.zap", index, n))
	}
	ordeals(t, false, [][]fault{ // while they are made
		{{[]string{"catalog"}, "renameat", "error=EIO", "1", saysEIO}},
		{{[]string{index + "root.bolt"}, "pwrite64", "error=ENOSPC", "2+", saysENOSPC}},
		{{[]string{raw + "meta.sum"}, "renameat", "error=EIO", "1", saysEIO}},
		{{[]string{raw + "msgs/1.blk"}, "write,pwrite64", "error=ENOSPC", "1", saysENOSPC}},
	})
	ordeals(t, true, [][]fault{ // while they are used
		{{[]string{"catalog/0000.bolt"}, "pwrite64,write", "error=ENOSPC", "1", saysENOSPC}},
		{{[]string{index + "root.bolt"}, "fdatasync", "error=EIO", "1", saysEIO}},
		{{zaps, "fsync", "error=EIO", "1", saysEIO}},
	})
}

// everyFault reports whether the tests go through every call, which takes some
// minutes: `make crash` sets it.
func everyFault() bool { return os.Getenv("MAILKEEP_FAULTS") == "all" }

// TestX3FaultsEverywhere kills the process at the n-th call of each kind, and lets
// the n-th on the ledger's files fail, for every n that there is. In the short
// form it does so at the first link, which seals a segment.
func TestX3FaultsEverywhere(t *testing.T) {
	calls, most := []string{"fdatasync", "fsync", "write", "pwrite64", "linkat", "renameat", "unlinkat", "ftruncate"}, 60 // of one thread
	if !everyFault() {
		calls, most = []string{"linkat"}, 2
	}
	d := lab.StartDovecot(t, "anna")
	for _, call := range calls {
		for _, f := range []fault{
			{nil, call, "signal=KILL", "", ""},
			{[]string{ledgerFiles, firstSegment, firstCopy}, call, "error=EIO", "", saysEIO},
			{[]string{ledgerFiles, firstSegment, firstCopy}, call, "error=ENOSPC", "", saysENOSPC},
		} {
			for n, struck := 1, 1; n < most && struck > 0; n++ {
				f.when = fmt.Sprint(n)
				t.Run(f.String(), func(t *testing.T) { struck = ordeal(t, d, "anna", false, f) })
				if n == 1 && struck == 0 && !everyFault() {
					t.Errorf("%s never struck", f)
				}
			}
		}
	}
}
