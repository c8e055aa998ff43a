package indexer

import (
	"context"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// The environment of a child process that indexes with little memory.
const memoryDir = "MAILKEEP_INDEXER_TEST_MEMORY"

const (
	memoryDocs = 4400
	// memoryLimit is all the memory that the child may have that is no file's: the
	// system gives no more.
	memoryLimit = 512 << 20
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
