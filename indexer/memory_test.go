package indexer

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The environment of a child process that indexes with little memory.
const memoryDir = "MAILKEEP_INDEXER_TEST_MEMORY"

const (
	memoryDocs = 4400
	// memoryLimit is all the memory that the child may have that is no file's: the
	// system gives no more. memoryGoal is what it should have of it at the same
	// time, pages of mapped files included.
	memoryLimit = 512 << 20
	memoryGoal  = 450 // MB
)

// indexSmall indexes as a process in a container of 512 MiB would, in full batches,
// with a shard that is sealed, and prints the most memory that it had.
func indexSmall(dir string) int {
	limit := syscall.Rlimit{Cur: memoryLimit, Max: memoryLimit}
	if err := syscall.Setrlimit(unix.RLIMIT_DATA, &limit); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	x, err := Open(Options{Dir: dir, ShardDocs: memoryDocs - 100})
	if err == nil {
		err = x.CatchUp(context.Background(), bigLedger{memoryDocs}, parseBig, headerDate, nil)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Printf("%.0f", statusOf("VmHWM"))
	return 0
}

// TestIndexInLittleMemory: what the documentation promises of 512 MiB holds under
// a limit that the system enforces.
func TestIndexInLittleMemory(t *testing.T) {
	if underRace {
		t.Skip("the detector's own memory is more than the limit")
	}
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), memoryDir+"="+t.TempDir(), "GOMEMLIMIT=410MiB")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("child: %v: %.2000s", err, stderr.String())
	}
	var most float64
	if _, err := fmt.Sscan(string(out), &most); err != nil || most == 0 || most > memoryGoal {
		t.Errorf("indexing took %q MB of memory at most, wanted are %d; error %v", out, memoryGoal, err)
	}
}
