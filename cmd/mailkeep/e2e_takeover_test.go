package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/internal/bus/bustest"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// TestTakeoverOfAKilledWorker kills a poller process in the middle of a session.
// The other one holds the next session when the lease has expired: after its 2 s
// and 10 s of patience at most, where the default of 40 s makes 50. Mailboxes at
// rest are polled by whichever process is left.
func TestTakeoverOfAKilledWorker(t *testing.T) {
	queue := bustest.SpawnServer(t)
	p := newPool(t, 6, 2, 4, fmt.Sprintf("poll: {interval: 4s}\nnats: {url: %q, lease: 2s}", queue.URL))
	var stalled atomic.Int32 // session that hangs; the first with user0
	p.server.SetHooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
		if c.Verb == "STAT" && c.User == "user0" && stalled.CompareAndSwap(0, int32(c.Session)) {
			return &pop3test.Action{End: pop3test.Stall}
		}
		return nil
	}})
	worker := func(name string) *mortal {
		return &mortal{t: t, start: func() *exec.Cmd {
			return logTo(t, p.command("run", "--role", "poller"), filepath.Join(p.dir, name+".log"))
		}}
	}
	a, b := worker("a"), worker("b")
	a.spawn()
	await(t, "the first worker is in a session", 20*time.Second, func() bool { return stalled.Load() != 0 })
	b.spawn()
	await(t, "both poll", 20*time.Second, func() bool { return p.server.Sessions() > 12 })
	logins := func() map[string]int {
		n := make(map[string]int)
		for _, c := range p.server.Commands() {
			if c.Verb == "PASS" {
				n[c.User]++
			}
		}
		return n
	}
	if n := logins()["user0"]; n != 1 {
		t.Fatalf("%d sessions on the mailbox that is held", n)
	}
	a.kill()
	died, before := time.Now(), logins()
	await(t, "all mailboxes are polled by the other", 30*time.Second, func() bool {
		for user, n := range logins() {
			if n <= before[user] {
				return false
			}
		}
		return true
	})
	if took := time.Since(died); took > 15*time.Second {
		t.Errorf("taken over after %s", took)
	}
	b.terminate()
}
