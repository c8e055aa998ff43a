package app

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// A mailbox's state is one value, written whole: there is nothing to compact.
// What K15 asks for is therefore asked of the value (it is the old or the new one,
// and one of another version or of none costs retries alone), here, and of what
// the archive rewrites, the seal of a segment and the catalog's transactions, in
// cmd/mailkeep, where system calls are cut.

// TestK15StateSaved kills the product, queue and all, while it saves the state.
func TestK15StateSaved(t *testing.T) {
	t.Parallel()
	k := newVictim(t, &vault{dir: t.TempDir()}, t.Name(), "plain")
	k.settle()
	for n := 1; n <= 4; n++ {
		old := k.sessions()
		raw := fmt.Appendf(nil, "X-Mailbox: %s\r\n\r\nlater %d\r\n", k.mailbox, n)
		k.box.Add(pop3test.Message{UIDL: fmt.Sprint("later", n), Raw: raw})
		k.originals = append(k.originals, raw)
		if !k.run("save.during") {
			t.Fatal("the product was not killed: the test tests nothing")
		}
		k.whole()
		if now := k.sessions(); now != old && now != old+1 {
			t.Errorf("death %d: the state tells of %d sessions, of %d before", n, now, old)
		}
	}
	k.settle()
	verifyClean(t, k.config())
}

// sessions reads the mailbox's state, which must be whole, and returns how many
// sessions it counts.
func (k *victim) sessions() int {
	k.t.Helper()
	var st struct{ V, Sessions int }
	k.withBus(func(a *App) {
		data, _, err := a.bus.LoadState(k.t.Context(), k.mailbox)
		if err != nil {
			k.t.Fatal(err)
		}
		if err := json.Unmarshal(data, &st); err != nil || st.V == 0 {
			k.t.Fatalf("the state is torn: %v: %q", err, data)
		}
	})
	return st.Sessions
}

// withBus opens what a worker opens and polls nothing.
func (k *victim) withBus(f func(a *App)) {
	k.t.Helper()
	roles := []Role{RolePoller}
	if k.vault.queue == nil {
		roles = nil
	}
	a, err := New(k.t.Context(), k.config(), roles, Console{Logs: &k.logs})
	if err != nil {
		k.t.Fatal(err)
	}
	f(a)
	if err := a.Stop(k.t.Context()); err != nil {
		k.t.Error(err)
	}
}

// setState stores a value in the place of the mailbox's state.
func (k *victim) setState(value string) {
	k.t.Helper()
	k.withBus(func(a *App) {
		if _, err := a.bus.SaveState(k.t.Context(), k.mailbox, []byte(value), 0); err != nil {
			k.t.Fatal(err)
		}
	})
}

// TestK15StateOfAnotherVersion kills the worker around the replacement of a value
// that another version, or nobody, has written.
func TestK15StateOfAnotherVersion(t *testing.T) {
	kills(t,
		death{name: "later version", state: `{"v":99,"sessions":7,"rows":"none"}`, point: "save.before"},
		death{name: "earlier version", state: `{"v":0,"sessions":7}`, point: "save.during"},
		death{name: "cut", state: `{"v":1,"sess`, point: "save.after"},
		death{name: "no text", state: "\x00\xff", point: "commit.after"},
	)
}
