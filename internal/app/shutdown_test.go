package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/mail"
)

// openTestApp opens all roles on a new archive, with a mailbox whose server is
// not there.
func openTestApp(t *testing.T, ctx context.Context) *App {
	t.Helper()
	dir := t.TempDir()
	file, password := filepath.Join(dir, "mailkeep.yaml"), filepath.Join(dir, "password")
	text := fmt.Sprintf("archive: {dir: %q}\nlog: {level: debug}\nmailboxes:\n  - {name: anna, host: '127.0.0.1:1', user: anna, password_file: %q}\n",
		filepath.Join(dir, "archive"), password)
	for name, content := range map[string]string{file: text, password: "secret-of-the-plant\n"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := configs.Load(configs.Sources{File: file})
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(ctx, c, nil, Console{Logs: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Sessions in flight go on for a while after the signal to stop, and those of
// other processes do not know of it: the archive answers them until its turn
// comes.
func TestArchiveAnswersWhileStopping(t *testing.T) {
	ctx, signal := context.WithCancel(t.Context())
	a := openTestApp(t, ctx)
	signal()
	asking, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := a.bus.Lookup(asking, "anna", []mail.Listing{{UIDL: "u", Size: 1}}); err != nil {
		t.Errorf("lookup: %v", err)
	}
	if _, err := a.bus.LedgerSize(asking, 0); err != nil {
		t.Errorf("size: %v", err)
	}
	if err := a.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestUnknownMailbox(t *testing.T) {
	c := &configs.Config{}
	for i := range 12 {
		c.Mailboxes = append(c.Mailboxes, configs.Mailbox{Name: fmt.Sprint("m", i)})
	}
	err := checkNames(c, []string{"m3", "nobody", "nowhere"})
	if mail.KindOf(err) != mail.NotFound || err.Error() != `no mailbox is configured by the name "nobody", "nowhere"` {
		t.Errorf("%v", err)
	}
	if hint := mail.HintOf(err); hint != "the configuration has m0, m1, m2, m3, m4, m5, m6, m7, m8, m9 and 2 more" {
		t.Errorf("hint: %s", hint)
	}
}

// A part that fails for good ends a round that could seal nothing.
func TestRoundEndsWithAFatalFailure(t *testing.T) {
	a := openTestApp(t, t.Context())
	broken := errors.New("broken for good")
	a.life.fail(broken)
	if _, err := a.drainOnce(t.Context(), nil); !errors.Is(err, broken) {
		t.Errorf("drain: %v", err)
	}
	if err := a.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
