package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/internal/lab"
	"github.com/mailkeep/mailkeep/mail"
)

// TestAlertsOutliveKills: a process that is killed again and again tells of every new
// message that a saved search finds, at least once.
func TestAlertsOutliveKills(t *testing.T) {
	boxes := []string{"anna"}
	d := lab.StartDovecot(t, boxes...)
	dir := t.TempDir()
	program, told := filepath.Join(dir, "alert"), filepath.Join(dir, "told")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nexec cat >> "+told+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := newSite(t, d, boxes, fmt.Sprintf("poll: {interval: 1s}\nsearch: {alert_program: %q}\n", program))
	showLogs(t, s.dir)
	f := newFeeder(d, boxes)
	f.deliver(t, 3)
	s.run(0, "drain", "--once")
	before := s.search("larger:1", 200)
	s.run(0, "search", "--save", "new", "--alert", "larger:1")
	if out, _ := s.run(0, "saved", "list"); !strings.Contains(out, "new   yes") || !strings.Contains(out, "larger:1") {
		t.Errorf("%s", out)
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { f.run(ctx, t) })
	m := &mortal{t: t, start: func() *exec.Cmd { return logTo(t, s.command("run"), filepath.Join(s.dir, "run.log")) }}
	massacre(t, []victim{m}, 3, 3*time.Second)
	stop()
	wg.Wait()
	await(t, "the mailbox is empty", 2*time.Minute, func() bool { return f.left(t) == 0 })
	known := map[mail.ID]bool{}
	for _, h := range before.Hits {
		known[h.ID] = true
	}
	await(t, "all is told", 2*time.Minute, func() bool {
		heard := heardOf(t, told)
		a := s.search("larger:1", 200)
		for page := a; ; {
			for _, h := range page.Hits {
				if !known[h.ID] && !heard[h.ID] {
					return false
				}
			}
			if page.Next == "" {
				break
			}
			out, _ := s.run(0, "search", "--json", "--limit", "200", "--after", page.Next, "larger:1")
			page = mail.SearchAnswer{}
			if err := json.Unmarshal([]byte(out), &page); err != nil {
				t.Fatal(err)
			}
		}
		return a.Total > before.Total && a.Coverage.Complete
	})
	for id := range heardOf(t, told) {
		if known[id] {
			t.Errorf("%s was there before the search was saved", id)
		}
	}
	m.terminate()
	if out, _ := s.run(0, "saved", "run", "new", "--count"); !strings.Contains(out, "messages") {
		t.Errorf("%s", out)
	}
	s.run(0, "saved", "delete", "new")
	s.run(6, "saved", "run", "new")
}

// heardOf returns the messages that alerts told of. A line that the program was killed
// in counts for none.
func heardOf(t *testing.T, file string) map[mail.ID]bool {
	t.Helper()
	out := map[mail.ID]bool{}
	f, err := os.Open(file)
	if err != nil {
		return out
	}
	defer f.Close()
	r := bufio.NewScanner(f)
	r.Buffer(nil, 8<<20)
	for r.Scan() {
		var a mail.Alert
		if json.Unmarshal(r.Bytes(), &a) != nil {
			continue
		}
		for _, h := range a.Hits {
			out[h.ID] = true
		}
		if uint64(len(a.Hits)) < a.Total { // more than an alert lists: all in its range
			for seq := a.From; seq < a.To; seq++ {
				out[mail.ID{Partition: a.Partition, Seq: seq}] = true
			}
		}
	}
	return out
}
