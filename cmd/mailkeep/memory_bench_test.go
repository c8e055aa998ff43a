package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/internal/bus/bustest"
	"github.com/mailkeep/mailkeep/internal/lab"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// A pool is a scripted POP3 server on loopback with many mailboxes, and a site
// that drains them.
type pool struct {
	*site
	server *pop3test.Server
	addr   string
}

// newPool serves n mailboxes by the names user0 and so on, which the site reaches
// as hosts many hosts of perHost sessions.
func newPool(t testing.TB, n, hosts, perHost int, more string) *pool {
	t.Helper()
	p := &pool{site: emptySite(t), server: &pop3test.Server{Mailboxes: make(map[string]*pop3test.Mailbox, n), MaxConns: 1000}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := p.server.Serve(ctx, l); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); serving.Wait() })
	var rows, conf strings.Builder
	rows.WriteString("name,host,user,password_file\n")
	for i := range n {
		user := fmt.Sprint("user", i)
		p.server.Mailboxes[user] = &pop3test.Mailbox{Password: lab.Password}
		fmt.Fprintf(&rows, "%s@example.org,host%d,%s,%s\n", user, i%hosts, user, p.password())
	}
	write(t, filepath.Join(p.dir, "mailboxes.csv"), rows.String())
	conf.WriteString(more + "\nmailboxes_file: mailboxes.csv\nhosts:\n")
	for i := range hosts {
		fmt.Fprintf(&conf, "  host%d: {address: %q, security: plain, allow_plain: true, per_host: %d, logins_per_minute: 60000}\n", i, p.addr, perHost)
	}
	p.configure(conf.String())
	return p
}

func write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// memory returns a line of /proc/pid/status in MB: VmRSS is what the process has
// now, VmHWM the most that it ever had.
func memory(t testing.TB, cmd *exec.Cmd, what string) float64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, what+":"); ok {
			kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			if err != nil {
				t.Fatal(err)
			}
			return float64(kib) / 1024
		}
	}
	t.Fatalf("no %s of %s", what, cmd)
	return 0
}

// started runs the program, built as users build it, with its log in a file. The
// environment is added to.
func (p *pool) started(b *testing.B, program string, env []string, args ...string) *exec.Cmd {
	b.Helper()
	cmd := exec.Command(program, append(args, "--config", p.config)...)
	cmd.Env = append(os.Environ(), env...)
	log, err := os.Create(filepath.Join(p.dir, strings.Join(args, "")+".log"))
	if err != nil {
		b.Fatal(err)
	}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		cmd.Process.Kill() //nolint:errcheck // it has ended, as a rule
		cmd.Wait()         //nolint:errcheck // as it was killed
		log.Close()
		if b.Failed() {
			text, _ := os.ReadFile(log.Name())
			b.Logf("%s:\n%s", log.Name(), tail(string(text)))
		}
	})
	return cmd
}

// BenchmarkIdleMailboxes starts the whole product on 10,000 empty mailboxes that
// are polled every five minutes, and waits until all have been polled. It tells
// the memory of the process at its most and then at rest, the polls a second that
// it came to where five minutes ask for 33, and the processor time of a poll.
func BenchmarkIdleMailboxes(b *testing.B) {
	const n = 10_000
	program := build(b)
	for b.Loop() {
		p := newPool(b, n, 100, 4, "poll: {interval: 5m}\nhttp: {listen: \"127.0.0.1:0\"}")
		start := time.Now()
		cmd := p.started(b, program, nil, "run")
		await(b, "all mailboxes are polled", 5*time.Minute, func() bool { return p.server.Sessions() >= n })
		b.ReportMetric(n/time.Since(start).Seconds(), "polls/s")
		b.ReportMetric(processorTime(b, cmd).Seconds()*1000/n, "cpu-ms/poll")
		b.ReportMetric(memory(b, cmd, "VmHWM"), "most-MB")
		<-time.After(10 * time.Second)
		b.ReportMetric(memory(b, cmd, "VmRSS"), "rest-MB")
		p.stopped(b, cmd)
		if log, err := os.Stat(filepath.Join(p.dir, "run.log")); err == nil {
			b.ReportMetric(float64(log.Size())/1e3, "log-kB")
		}
	}
}

// BenchmarkParallelLarge drains 50 mailboxes at once, of messages of 10 MB each,
// and tells the most memory that was had: by a poller that is a process of its
// own, as where many share the work, and by the whole product in one process,
// left to itself and under a limit. The embedded queue reads its files in blocks
// of 8 MiB and leaves them to the garbage collector; a limit makes that run more
// often.
func BenchmarkParallelLarge(b *testing.B) {
	program := build(b)
	b.Run("poller", func(b *testing.B) {
		for b.Loop() {
			queue := bustest.SpawnServer(b)
			p := newLargePool(b, fmt.Sprintf("nats: {url: %q}", queue.URL))
			others := p.started(b, program, nil, "run", "--role", "archive", "--role", "index")
			p.measureLarge(b, p.started(b, program, nil, "run", "--role", "poller"))
			p.stopped(b, others)
			queue.Kill()
		}
	})
	for name, env := range map[string][]string{"whole": nil, "whole-limited": {"GOMEMLIMIT=200MiB"}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				p := newLargePool(b, "")
				p.measureLarge(b, p.started(b, program, env, "run"))
			}
		})
	}
}

// The mailboxes of BenchmarkParallelLarge.
const (
	largeBoxes = 50
	largeEach  = 2
	largeSize  = 10 << 20
)

func newLargePool(b *testing.B, more string) *pool {
	b.Helper()
	p := newPool(b, largeBoxes, 1, largeBoxes, fmt.Sprintf("poll: {max_sessions: %d}\n%s", largeBoxes, more))
	for i := range largeBoxes {
		box := p.server.Mailboxes[fmt.Sprint("user", i)]
		for k := range largeEach {
			box.Add(pop3test.Message{UIDL: fmt.Sprintf("m%d-%d", i, k), Raw: attachment(uint64(i*largeEach+k), largeSize)})
		}
	}
	return p
}

// measureLarge waits until all is drained.
func (p *pool) measureLarge(b *testing.B, cmd *exec.Cmd) {
	b.Helper()
	start := time.Now()
	await(b, "all is deleted", 10*time.Minute, func() bool { return len(p.server.Deleted()) == largeBoxes*largeEach })
	b.ReportMetric(float64(largeBoxes*largeEach*largeSize)/1e6/time.Since(start).Seconds(), "MB/s")
	b.ReportMetric(memory(b, cmd, "VmHWM"), "most-MB")
	p.stopped(b, cmd)
}

// attachment makes a message of about size octets whose body does not compress.
func attachment(seed uint64, size int) []byte {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	var b bytes.Buffer
	b.Grow(size + 200)
	fmt.Fprintf(&b, "From: ann@example.org\r\nSubject: large %d\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for b.Len() < size {
		var line [76]byte
		for i := range line {
			line[i] = letters[r.Uint32()%64]
		}
		b.Write(line[:])
		b.WriteString("\r\n")
	}
	return b.Bytes()
}

// stopped ends the program as an operator would.
func (p *pool) stopped(b *testing.B, cmd *exec.Cmd) {
	b.Helper()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		b.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		b.Errorf("run: %v", err)
	}
}

// processorTime returns what the process has used so far.
func processorTime(t testing.TB, cmd *exec.Cmd) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest) // from the third field of proc(5) on
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	if err1 != nil || err2 != nil {
		t.Fatalf("stat %q", stat)
	}
	return time.Duration(user+system) * time.Second / 100 // USER_HZ
}
