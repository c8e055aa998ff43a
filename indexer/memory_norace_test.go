//go:build !race

package indexer

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// memoryGoal is what the child should have at most, pages of mapped files included,
// in MB.
const memoryGoal = 450

// TestIndexInLittleMemory: what the documentation promises of 512 MiB holds under
// a limit that the system enforces. The race detector has more memory of its own than
// that, so this is for the other run alone, which "make test" is.
func TestIndexInLittleMemory(t *testing.T) {
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
