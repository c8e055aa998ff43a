package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/mailkeep/mailkeep/internal/lab"
)

// BenchmarkLine compares the whole line, from the POP3 server to a searchable
// archive, with the server's ceiling and with what other programs make of the
// same mailboxes: mpop and getmail6 to Maildir, notmuch and mu on that Maildir.
// All speak POP3 in the clear to one Dovecot on loopback, keep nothing on the
// server, and start with nothing of their own.
//
// One iteration is one round: each contender in turn, on mailboxes refilled for
// it, the order shifted by one from round to round. Set -benchtime 3x for three
// rounds. BENCH_MESSAGES is the number of messages in each of the two
// mailboxes; 1000 if it is not set.
func BenchmarkLine(b *testing.B) {
	l := newLine(b)
	for round := 0; b.Loop(); round++ {
		for i := range l.contenders {
			l.contenders[(i+round)%len(l.contenders)](b)
		}
	}
	l.print(os.Stdout)
	for _, name := range []string{toSealed, toSearchable} {
		b.ReportMetric(l.rate(name), metric(name)+"-msg/s")
	}
	b.ReportMetric(l.rate(toSealed)/l.rate(ceiling), "sealed/ceiling")
	b.ReportMetric(l.rate(toSealed)/l.rate(mpop), "sealed/mpop")
	b.ReportMetric(l.rate(toSealed)/l.rate(getmail), "sealed/getmail6")
	b.ReportMetric(l.rate(toSearchable)/l.rate(mpopNotmuch), "searchable/mpop+notmuch")
	b.ReportMetric(l.rate(toSearchable)/l.rate(mpopMu), "searchable/mpop+mu")
}

// What is measured.
const (
	ceiling      = "ceiling: pipelined, thrown away"
	toSealed     = "mailkeep drain to sealed"
	toSearchable = "mailkeep drain to searchable"
	mpop         = "mpop to Maildir"
	getmail      = "getmail6 to Maildir"
	mpopNotmuch  = "mpop + notmuch new"
	mpopMu       = "mpop + mu index"
)

func metric(name string) string { return name[strings.LastIndexByte(name, ' ')+1:] }

// A line is the server with its mail, and the results so far.
type line struct {
	program    string // mailkeep, built as users build it
	server     *lab.Dovecot
	mail       *lab.Master
	contenders []func(*testing.B)
	results    map[string][]measurement
}

func newLine(b *testing.B) *line {
	count := 1000
	if s := os.Getenv("BENCH_MESSAGES"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			b.Fatalf("BENCH_MESSAGES is no number of messages: %q", s)
		}
		count = n
	}
	boxes := []string{"anna", "bela"}
	l := &line{program: build(b), server: lab.StartDovecot(b, boxes...), results: map[string][]measurement{}}
	l.mail = l.server.NewMaster(b, 11, count, boxes...)
	l.contenders = []func(*testing.B){l.ceiling, l.mailkeep, l.mpop, l.getmail}
	return l
}

// prepare refills the mailboxes and leaves the disk idle.
func (l *line) prepare(b *testing.B) {
	l.server.Refill(b, l.mail)
	syscall.Sync()
}

func (l *line) record(name string, m measurement) { l.results[name] = append(l.results[name], m) }

// emptied reports whether the server has deleted the last message.
func (l *line) emptied(b *testing.B) bool {
	return !slices.ContainsFunc(l.mail.Boxes, func(box string) bool { return !l.server.Empty(b, box) })
}

// build makes the program; the test binary, twice as large, starts slower.
func build(b *testing.B) string {
	program := filepath.Join(b.TempDir(), "mailkeep")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		b.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// left counts the messages that are still on the server.
func (l *line) left(b *testing.B) (n int) {
	for _, box := range l.mail.Boxes {
		n += l.server.Count(b, box)
	}
	return n
}

// ceiling drains both mailboxes at once, like mailkeep.
func (l *line) ceiling(b *testing.B) {
	l.prepare(b)
	began := time.Now()
	var sessions sync.WaitGroup
	for _, box := range l.mail.Boxes {
		sessions.Go(func() {
			if _, _, err := lab.Ceiling(l.server.POP3, box); err != nil {
				b.Error(err)
			}
		})
	}
	sessions.Wait()
	l.record(ceiling, measurement{wall: time.Since(began)})
	l.mustBeEmpty(b, ceiling)
}

func (l *line) mustBeEmpty(b *testing.B, name string) {
	if n := l.left(b); n != 0 {
		b.Fatalf("%s: %d messages left on the server", name, n)
	}
}

// mailkeep drains and indexes in one process. Mail counts as sealed when the
// server has deleted the last of it, which it is told to do by receipt alone;
// the indexer works beside all the while.
func (l *line) mailkeep(b *testing.B) {
	l.prepare(b)
	s := emptySite(b)
	var yaml strings.Builder
	fmt.Fprintf(&yaml, "hosts:\n  lab: {address: %s, security: plain, allow_plain: true, logins_per_minute: 6000}\nmailboxes:\n", l.server.POP3)
	for _, box := range l.mail.Boxes {
		fmt.Fprintf(&yaml, "  - {name: %s, host: lab, password_file: %q}\n", box, s.password())
	}
	s.configure(yaml.String())
	began := time.Now()
	var emptied time.Duration
	cmd := s.command("drain", "--once")
	cmd.Path = l.program
	m := measure(b, cmd, func() {
		if emptied == 0 && l.emptied(b) {
			emptied = time.Since(began)
		}
	})
	l.mustBeEmpty(b, toSearchable)
	l.record(toSearchable, m)
	l.record(toSealed, measurement{wall: cmp.Or(emptied, m.wall), peak: m.peak})
	if a := s.search("to:lab.example", 1); a.Total != uint64(l.mail.Count) || !a.Coverage.Complete {
		b.Fatalf("%d of %d messages found, complete: %v", a.Total, l.mail.Count, a.Coverage.Complete)
	}
}

// mpop delivers to a Maildir, which mu and notmuch then index.
func (l *line) mpop(b *testing.B) {
	l.prepare(b)
	dir := b.TempDir()
	maildir := makeMaildir(b, dir)
	conf := writeConf(b, dir, "mpoprc", mpoprc(l.server.POP3, maildir, dir, l.mail.Boxes))
	drained := measure(b, exec.Command("mpop", append([]string{"-q", "-C", conf}, l.mail.Boxes...)...), nil)
	l.record(mpop, drained)
	l.mustBeIn(b, mpop, maildir)

	muhome := "--muhome=" + filepath.Join(dir, "mu")
	measure(b, exec.Command("mu", "init", "--quiet", muhome, "--maildir="+maildir), nil)
	syscall.Sync()
	l.record(mpopMu, drained.then(measure(b, exec.Command("mu", "index", "--quiet", muhome), nil)))

	conf = writeConf(b, dir, "notmuchrc", fmt.Sprintf("[database]\npath=%s\n[user]\nname=x\nprimary_email=anna@lab.example\n[new]\ntags=unread\n[maildir]\nsynchronize_flags=false\n", maildir))
	syscall.Sync()
	l.record(mpopNotmuch, drained.then(measure(b, exec.Command("notmuch", "--config="+conf, "new", "--quiet"), nil)))
	out, err := exec.Command("notmuch", "--config="+conf, "count", "--output=files", "*").Output()
	if n := strings.TrimSpace(string(out)); err != nil || n != fmt.Sprint(l.mail.Count) {
		b.Fatalf("notmuch has %s of %d messages: %v", n, l.mail.Count, err)
	}
}

// then adds what a second process took.
func (m measurement) then(n measurement) measurement {
	return measurement{m.wall + n.wall, m.cpu + n.cpu, max(m.peak, n.peak)}
}

// getmail delivers to a Maildir. It refuses to do so as root. Now and then it
// misses the end of a process that it started, waits for it until its timeout,
// and ends: its rate is that of what it had delivered by then.
func (l *line) getmail(b *testing.B) {
	l.prepare(b)
	dir := b.TempDir()
	maildir := makeMaildir(b, dir)
	args := []string{"-q", "-g", dir}
	for _, box := range l.mail.Boxes {
		writeConf(b, dir, box, fmt.Sprintf("[retriever]\ntype = SimplePOP3Retriever\nserver = 127.0.0.1\nport = %s\nusername = %s\npassword = %s\ntimeout = 3\n[destination]\ntype = Maildir\npath = %s/\n[options]\ndelete = true\nread_all = true\nverbose = 0\ndelivered_to = false\nreceived = false\n",
			port(l.server.POP3), box, lab.Password, maildir))
		args = append(args, "-r", box)
	}
	var credential *syscall.Credential
	if os.Getuid() == 0 {
		const nobody = 65534
		credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		if err := giveAway(dir, nobody); err != nil {
			b.Fatal(err)
		}
	}
	cmd := exec.Command("getmail", args...)
	cmd.Env = append(os.Environ(), "HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	m, failed := tryMeasure(b, cmd, nil)
	files, err := os.ReadDir(filepath.Join(maildir, "new"))
	if err != nil || len(files) == 0 {
		b.Fatalf("getmail delivered nothing: %v, %v", failed, err)
	}
	m.wall = time.Duration(float64(m.wall) * float64(l.mail.Count) / float64(len(files)))
	l.record(getmail, m)
}

// giveAway makes a directory that go test made the user's, and lets the user
// come to it.
func giveAway(dir string, uid int) error {
	for up := filepath.Dir(dir); up != os.TempDir() && up != "/"; up = filepath.Dir(up) {
		if err := os.Chmod(up, 0o711); err != nil {
			return err
		}
	}
	return filepath.Walk(dir, func(p string, _ os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(p, uid, uid)
	})
}

func makeMaildir(b *testing.B, dir string) string {
	maildir := filepath.Join(dir, "Maildir")
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(maildir, sub), 0o755); err != nil {
			b.Fatal(err)
		}
	}
	return maildir
}

func writeConf(b *testing.B, dir, name, content string) string {
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		b.Fatal(err)
	}
	return file
}

// mustBeIn fails unless all mail went from the server to the Maildir.
func (l *line) mustBeIn(b *testing.B, name, maildir string) {
	l.mustBeEmpty(b, name)
	files, err := os.ReadDir(filepath.Join(maildir, "new"))
	if err != nil || len(files) != l.mail.Count {
		b.Fatalf("%s: %d of %d messages delivered: %v", name, len(files), l.mail.Count, err)
	}
}

func port(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

// rate returns messages per second in the median round.
func (l *line) rate(name string) float64 {
	return float64(l.mail.Count) / median(l.results[name], func(m measurement) time.Duration { return m.wall }).Seconds()
}

// median is that of the values; the lower one of two.
func median[T cmp.Ordered](all []measurement, of func(measurement) T) T {
	values := make([]T, len(all))
	for i, m := range all {
		values[i] = of(m)
	}
	slices.Sort(values)
	return values[(len(values)-1)/2]
}

// print writes the table that docs/benchmarks.md shows.
func (l *line) print(w io.Writer) {
	fmt.Fprintf(w, "\n%d messages, %.1f MB, in %d mailboxes; medians of %d rounds\n\n", l.mail.Count, float64(l.mail.Octets)/1e6, len(l.mail.Boxes), len(l.results[ceiling]))
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', tabwriter.AlignRight|tabwriter.Debug)
	fmt.Fprintln(t, "\twork\tmsg/s\tMB/s\tworst - best round, msg/s\tCPU, s\tpeak RSS, MB\tagainst mpop\t")
	fmt.Fprintln(t, "\t---\t---:\t---:\t---:\t---:\t---:\t---:\t")
	for _, name := range []string{ceiling, toSealed, mpop, getmail, toSearchable, mpopMu, mpopNotmuch} {
		all, rate := l.results[name], l.rate(name)
		by := func(a, b measurement) int { return cmp.Compare(a.wall, b.wall) }
		count := float64(l.mail.Count)
		cpu, peak := "-", "-"
		if p := median(all, func(m measurement) int64 { return m.peak }); p > 0 {
			peak = fmt.Sprint(p / 1e6)
		}
		if c := median(all, func(m measurement) time.Duration { return m.cpu }); c > 0 {
			cpu = fmt.Sprintf("%.1f", c.Seconds())
		}
		fmt.Fprintf(t, "\t%s\t%.0f\t%.1f\t%.0f - %.0f\t%s\t%s\t%.2f\t\n", name, rate, rate/count*float64(l.mail.Octets)/1e6,
			count/slices.MaxFunc(all, by).wall.Seconds(), count/slices.MinFunc(all, by).wall.Seconds(), cpu, peak, rate/l.rate(mpop))
	}
	t.Flush() //nolint:errcheck // standard output
	fmt.Fprintln(w)
}
