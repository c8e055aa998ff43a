package app

import (
	"context"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/mailkeep/mailkeep/mail"
)

// The tour empties its mailboxes, finds what it looks for, verifies, and shows
// how far it has come; each showing ends before its result is printed.
func TestDemoTour(t *testing.T) {
	var out strings.Builder
	var mu sync.Mutex
	seen := map[Phase]bool{}
	watching := 0
	quiet := func() {
		if watching != 0 {
			t.Error("a result is printed into the progress")
		}
	}
	o := DemoOptions{
		Dir: t.TempDir(),
		Watch: func() (Console, func()) {
			watching++
			note := func(p Progress) {
				mu.Lock()
				defer mu.Unlock()
				seen[p.Phase] = true
			}
			return Console{Logs: t.Output(), Progress: note}, func() { watching-- }
		},
		ShowDrain:  func(io.Writer, DrainResult) error { quiet(); return nil },
		ShowHits:   func(io.Writer, mail.SearchAnswer) error { quiet(); return nil },
		ShowVerify: func(io.Writer, VerifyReport) error { quiet(); return nil },
	}
	if err := Demo(t.Context(), o, &out, Console{Logs: t.Output()}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "The server has 0 messages left.") {
		t.Errorf("the tour says:\n%s", out.String())
	}
	for _, p := range []Phase{PhaseDrain, PhaseVerify} {
		if !seen[p] {
			t.Errorf("no progress was shown of phase %s", p)
		}
	}
}

// A tour that is interrupted says so and leaves nothing behind.
func TestDemoIsInterrupted(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	ctx, cancel := context.WithCancel(t.Context())
	o := DemoOptions{ShowDrain: func(io.Writer, DrainResult) error { cancel(); return ctx.Err() }}
	if err := Demo(ctx, o, io.Discard, Console{Logs: t.Output()}); err == nil {
		t.Error("no error")
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
