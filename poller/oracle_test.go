package poller

import (
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// The oracles: what is true of every scenario, whatever its server, archive and
// lease did. The rig holds them after each drain; O2 at each DELE, while it
// happens.
//
//	O1 each original message is in the archive or on the server, byte for byte
//	O2 DELE n comes after the seal of n
//	O3 no QUIT after a protocol error, nor over what was retrieved and not sealed
//	   where the server deletes that; and never RSET
//	O4 the archive has each message of a mailbox once
//	O5 what is not set aside drains in a bounded number of sessions (see settle)
//	O6 no secret is in the log

// A complainer is told what an oracle finds.
type complainer interface {
	Helper()
	Errorf(format string, args ...any)
}

// check holds those that are true at any time, and that no transfer is left
// open.
func (r *rig) check() {
	r.t.Helper()
	checkWhole(r.t, r.arc, r.m.Name, r.box, r.originals)
	checkDeleted(r.t, r.arc, func(string) string { return r.m.Name }, r.srv)
	checkQuit(r.t, r.srv)
	checkOnce(r.t, r.arc)
	checkSecret(r.t, r.logs.String(), "ann", secret)
	if r.arc.open != 0 {
		r.t.Errorf("%d transfers are open", r.arc.open)
	}
}

// checkWhole is O1 for one mailbox.
func checkWhole(t complainer, arc *archive, mailbox string, box *pop3test.Mailbox, originals [][]byte) {
	t.Helper()
	left := make(map[string]int)
	for _, m := range box.Left() {
		left[string(onWire(m.Raw))]++
	}
	for i, raw := range originals {
		if left[string(raw)] == 0 && !arc.has(mailbox, raw) {
			t.Errorf("O1: message %d is lost", i+1)
		}
	}
}

// checkDeleted is O1, and O2 at the end, from the server's side: nothing that it
// deleted for good is missing in the archive. name tells the mailbox of a user.
func checkDeleted(t complainer, arc *archive, name func(user string) string, srv *pop3test.Server) {
	t.Helper()
	for _, d := range srv.Deleted() {
		if !arc.has(name(d.User), onWire(d.Raw)) {
			t.Errorf("O2: message %q of %s was deleted unsealed", d.UIDL, d.User)
		}
	}
}

// checkQuit is the part of O3 that a server can see: QUIT is the last command of
// its session, and RSET none. See also checkBroken.
func checkQuit(t complainer, srv *pop3test.Server) {
	t.Helper()
	quit := make(map[int]bool)
	for _, c := range srv.Commands() {
		switch {
		case c.Verb == "RSET":
			t.Errorf("O3: session %d sent RSET", c.Session)
		case quit[c.Session]:
			t.Errorf("O3: session %d sent %s behind QUIT", c.Session, c.Verb)
		}
		quit[c.Session] = quit[c.Session] || c.Verb == "QUIT"
	}
}

// checkBroken is the rest of O3: a session that met a protocol error sent no
// QUIT.
func checkBroken(t complainer, srv *pop3test.Server, outcome Outcome) {
	t.Helper()
	if outcome != OutcomeProtocol {
		return
	}
	last := srv.Sessions()
	for _, c := range srv.Commands() {
		if c.Session == last && c.Verb == "QUIT" {
			t.Errorf("O3: session %d sent QUIT after a protocol error", last)
		}
	}
}

// checkOnce is O4: no delivery has two records.
func checkOnce(t complainer, arc *archive) {
	t.Helper()
	arc.mu.Lock()
	defer arc.mu.Unlock()
	ids := make(map[string]mail.ID)
	for _, rc := range arc.sealed {
		k := fmt.Sprintf("%q %q %s %q", rc.Mailbox, rc.UIDL, rc.Digest, rc.Suspect)
		if id, ok := ids[k]; ok && id != rc.ID {
			t.Errorf("O4: %q is sealed as %s and %s", rc.UIDL, id, rc.ID)
		}
		ids[k] = rc.ID
	}
}

// checkSecret is O6: the secret is in the text in none of the forms in which the
// protocol has it.
func checkSecret(t complainer, text, user, secret string) {
	t.Helper()
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + secret))
	for _, s := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), plain} {
		if strings.Contains(text, s) {
			t.Errorf("O6: the log tells the secret as %q", s)
		}
	}
}

// A complaints counts what it is told.
type complaints int

func (c *complaints) Helper()               {}
func (c *complaints) Errorf(string, ...any) { *c++ }

// The oracles find what they are there for.
func TestOraclesCatch(t *testing.T) {
	kept := letter("kept", 60)
	box := &pop3test.Mailbox{Messages: pop3test.Messages(kept)}
	twice := newArchive(t)
	twice.sealed = []mail.Receipt{{ID: mail.ID{Seq: 1}}, {ID: mail.ID{Seq: 2}}}
	for name, c := range map[string]struct {
		check func(complainer)
		found complaints
	}{
		"O1 lost":   {func(t complainer) { checkWhole(t, twice, "m", box, [][]byte{[]byte("gone\r\n")}) }, 1},
		"O1 kept":   {func(t complainer) { checkWhole(t, twice, "m", box, [][]byte{[]byte(kept)}) }, 0},
		"O4 twice":  {func(t complainer) { checkOnce(t, twice) }, 1},
		"O4 once":   {func(t complainer) { checkOnce(t, newArchive(nil)) }, 0},
		"O6 told":   {func(t complainer) { checkSecret(t, "AUTH AGFubgBwdw==", "ann", "pw") }, 1},
		"O6 masked": {func(t complainer) { checkSecret(t, "AUTH ***", "ann", "pw") }, 0},
	} {
		var found complaints
		if c.check(&found); found != c.found {
			t.Errorf("%s: %d complaints, want %d", name, found, c.found)
		}
	}
}

// O2 and O3 find a server's record of what must not happen.
func TestOraclesCatchWhatAServerSaw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, letters(1)...)
		for _, lines := range []string{
			"USER ann\r\nPASS " + secret + "\r\nDELE 1\r\nQUIT\r\n", // O2
			"USER ann\r\nPASS " + secret + "\r\nRSET\r\nQUIT\r\n",   // O3
		} {
			r.srv.SetHooks(pop3test.Hooks{}) // without the checks of the rig
			c, err := r.dial(t.Context(), "tcp", "")
			if err != nil {
				t.Fatal(err)
			}
			go io.Copy(io.Discard, c)
			io.WriteString(c, lines)
			r.conns.Wait()
			c.Close()
		}
		var o2, quit, broken complaints
		checkDeleted(&o2, r.arc, func(string) string { return r.m.Name }, r.srv)
		checkQuit(&quit, r.srv)
		checkBroken(&broken, r.srv, OutcomeProtocol)
		expect(t, "O2", o2, 1)
		expect(t, "RSET", quit, 1)
		expect(t, "QUIT after a protocol error", broken, 1)
	})
}
