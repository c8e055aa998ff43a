package app

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Two processes are started on one partition. The second waits; when the first is
// killed, or stopped for longer than its lease lives, it goes on, and the one that
// was stopped ends when it comes back, without a trace in the ledger.
func TestOwnershipOfALedger(t *testing.T) {
	t.Parallel()
	v := behindQueue(t)
	file := filepath.Join(t.TempDir(), "mailkeep.yaml")
	if err := os.WriteFile(file, []byte(v.yaml(v.queue.URL)), 0o600); err != nil {
		t.Fatal(err)
	}
	drain := func(name string) {
		k := newVictim(t, v, name, "plain")
		k.drainHere("", nil)
		k.settle()
	}
	first, second, third := &ownerProcess{t: t, file: file}, &ownerProcess{t: t, file: file}, &ownerProcess{t: t, file: file}
	first.spawn()
	drain("first")
	second.spawn()
	first.kill()
	drain("second")
	owner := filepath.Join(v.archive(), ledgerDir, "0000", "owner")
	before, err := os.ReadFile(owner)
	if err != nil {
		t.Fatal(err)
	}
	third.spawn()
	if err := second.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// The bus still sends questions to the one that is stopped, so what the new
	// owner does is seen on disk.
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for tries := 0; ; tries++ {
		if now, err := os.ReadFile(owner); err == nil && !bytes.Equal(now, before) {
			break
		}
		if tries == 400 {
			t.Fatal("nobody took the ledger of the process that is stopped")
		}
		<-tick.C
	}
	if err := second.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- second.cmd.Wait() }()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("the process that lost the ledger ended as if nothing were")
		}
	case <-time.After(20 * time.Second):
		second.kill()
		t.Error("the process that lost the ledger goes on")
	}
	drain("after")
	third.kill()
	verifyClean(t, load(t, v.yaml(v.queue.URL)))
}
