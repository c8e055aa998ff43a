package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/internal/lab"
)

// BenchmarkFleet drains fifty mailboxes of a hundred messages, four at a time: by
// mailkeep to sealed, and by four mpop at once, each with a quarter of the
// mailboxes, to Maildir; with few messages the start of the program would be
// measured. One iteration is one round of both; each goes first in
// turn.
func BenchmarkFleet(b *testing.B) {
	boxes := make([]string, 50)
	for i := range boxes {
		boxes[i] = fmt.Sprintf("box%02d", i)
	}
	l := &line{program: build(b), server: lab.StartDovecot(b, boxes...), results: map[string][]measurement{}}
	l.mail = l.server.NewMaster(b, 13, 100, boxes...)
	contenders := []func(*testing.B){l.mailkeep, l.fourMpop}
	for round := 0; b.Loop(); round++ {
		contenders[round%2](b)
		contenders[(round+1)%2](b)
	}
	b.ReportMetric(l.rate(toSealed), "sealed-msg/s")
	b.ReportMetric(l.rate(fourMpop), "4-mpop-msg/s")
	b.ReportMetric(l.rate(toSealed)/l.rate(fourMpop), "sealed/4-mpop")
}

const fourMpop = "four mpop to Maildir"

func (l *line) fourMpop(b *testing.B) {
	l.prepare(b)
	const quarters = 4
	dir := b.TempDir()
	cmds := make([]*exec.Cmd, quarters)
	for q := range quarters {
		sub := filepath.Join(dir, fmt.Sprint(q))
		maildir := makeMaildir(b, sub)
		var accounts []string
		for i, box := range l.mail.Boxes {
			if i%quarters == q {
				accounts = append(accounts, box)
			}
		}
		conf := writeConf(b, sub, "mpoprc", mpoprc(l.server.POP3, maildir, sub, accounts))
		cmds[q] = exec.Command("mpop", append([]string{"-q", "-C", conf}, accounts...)...)
	}
	began := time.Now()
	var all sync.WaitGroup
	for _, cmd := range cmds {
		all.Go(func() {
			if out, err := cmd.CombinedOutput(); err != nil {
				b.Errorf("mpop: %v\n%s", err, tail(string(out)))
			}
		})
	}
	all.Wait()
	l.record(fourMpop, measurement{wall: time.Since(began)})
	l.mustBeEmpty(b, fourMpop)
	files, err := filepath.Glob(filepath.Join(dir, "*", "Maildir", "new", "*"))
	if err != nil || len(files) != l.mail.Count {
		b.Fatalf("%d of %d messages delivered: %v", len(files), l.mail.Count, err)
	}
	os.RemoveAll(dir) //nolint:errcheck // the next round has its own
}

// mpoprc configures mpop to drain accounts of a server into a Maildir.
func mpoprc(address, maildir, dir string, accounts []string) string {
	var rc strings.Builder
	fmt.Fprintf(&rc, "defaults\nhost 127.0.0.1\nport %s\ntls off\nauth user\npassword %s\nkeep off\ndelivery maildir %s\nuidls_file %s/uidls_%%U\n",
		port(address), lab.Password, maildir, dir)
	for _, box := range accounts {
		fmt.Fprintf(&rc, "account %s\nuser %s\n", box, box)
	}
	return rc.String()
}
