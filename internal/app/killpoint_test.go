package app

import (
	"testing"

	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// The tests of this file kill a worker by SIGKILL at each point of a drain where
// something has just become true, start others until all is drained, and hold
// the oracles of the test plan: no message is lost (O1), none is deleted before
// the ledger's files have it (O2), none is archived twice (O4), it takes few
// sessions (O5), no log tells a password (O6); and `verify` finds nothing.
// That QUIT is never sent in vain (O3) shows in O1: the server deletes at QUIT.

// A death is where a worker dies: at a point of its own, or at what the server
// sees of it.
type death struct {
	name     string
	security string // of the connection; "plain" if empty
	point    string // a point of the worker
	verb     string // or the nth command of a verb ...
	nth      int
	then     pop3test.Action // ... and what the server does when the worker is dead
	accept   bool            // or the connection itself
	slow     bool            // without pipelining, so that commands come one by one
	state    string          // of the mailbox before, if not empty
}

// gone is a server that learns that its client is no more.
var gone = pop3test.Action{End: pop3test.FIN}

// kills runs each death against both kinds of vault. All workers of the shared
// one die before the first is followed by another, so that the waiting for the
// leases of the dead is done once.
func kills(t *testing.T, deaths ...death) {
	t.Parallel()
	if underRace {
		deaths = deaths[:1]
	}
	shared, owner := sharedVault(t)
	victims := make([]*victim, len(deaths))
	for i, d := range deaths {
		victims[i] = newVictim(t, shared, t.Name()+" "+d.name, d.secured())
		if !t.Run("worker dies "+d.name, func(t *testing.T) { d.die(victims[i].under(t)) }) {
			return
		}
	}
	for i, d := range deaths {
		t.Run("worker "+d.name, func(t *testing.T) { victims[i].under(t).settle() })
	}
	verifyClean(t, owner)
	for _, d := range deaths {
		t.Run("product "+d.name, func(t *testing.T) {
			k := newVictim(t, &vault{dir: t.TempDir()}, t.Name(), d.secured())
			d.die(k)
			k.settle()
			verifyClean(t, k.config())
		})
	}
}

func (d death) secured() string {
	if d.security == "" {
		return "plain"
	}
	return d.security
}

// die has a worker die.
func (d death) die(k *victim) {
	k.t.Helper()
	if d.slow {
		k.srv.Caps = []string{"TOP", "UIDL", "USER"}
	}
	if d.state != "" {
		k.setState(d.state)
	}
	switch {
	case d.accept:
		k.atConnect = true
	case d.verb != "":
		k.blow(d.verb, max(d.nth, 1), d.then)
	}
	if !k.run(d.point) {
		k.t.Fatalf("the worker was not killed: the test tests nothing\n%s", lastLines(k.logs.String()))
	}
	k.whole()
}

func TestK01Login(t *testing.T) {
	kills(t,
		death{name: "connected", accept: true},
		death{name: "connected with TLS", security: "tls", accept: true},
		death{name: "TLS", security: "tls", verb: "CAPA", then: gone},
		death{name: "STLS", security: "stls", verb: "CAPA", nth: 2, then: gone},
		death{name: "USER sent", verb: "USER", then: gone},
		death{name: "USER answered", verb: "PASS", then: gone},
		death{name: "PASS answered", verb: "CAPA", nth: 2, then: gone},
	)
}

func TestK02Listing(t *testing.T) {
	kills(t,
		death{name: "STAT answered", verb: "LIST", then: gone},
		death{name: "LIST answered", verb: "UIDL", then: gone},
		death{name: "UIDL answered", point: "lookup.before"},
		death{name: "catalog asked", point: "lookup.after"},
	)
}

func TestK03RetrSent(t *testing.T) {
	kills(t,
		death{name: "first", verb: "RETR", then: gone},
		death{name: "third", verb: "RETR", nth: 3, then: gone},
	)
}

func TestK04MidBody(t *testing.T) {
	kills(t,
		death{name: "half sent", verb: "RETR", nth: 3, then: pop3test.Action{Raw: "+OK\r\nX-Mailbox: half", End: pop3test.FIN}},
		death{name: "first octets", point: "write"},
		death{name: "in the large one", point: "write 15"}, // some of its chunks lie on the bus
	)
}

func TestK05TerminatorRead(t *testing.T) {
	kills(t,
		death{name: "first", slow: true, verb: "RETR", nth: 2, then: gone},
		death{name: "last", slow: true, verb: "NOOP", then: gone},
	)
}

func TestK06NotPublished(t *testing.T) {
	kills(t, death{name: "first", point: "commit.before"}, death{name: "last", point: "commit.before 4"})
}

func TestK07PublishedNotRecorded(t *testing.T) {
	kills(t, death{name: "first", point: "commit.after"}, death{name: "last", point: "commit.after 4"})
}

func TestK08SealedNotRecorded(t *testing.T) {
	kills(t, death{name: "first", point: "receipt"}, death{name: "last", point: "receipt 4"})
}

func TestK09BeforeDele(t *testing.T) {
	kills(t,
		death{name: "lease checked", point: "checked"},
		death{name: "before the state tells of it", point: "ask.before"},
		death{name: "while the state is saved", point: "ask.during"},
		death{name: "the state tells of it", point: "ask.after"},
		death{name: "about to send it", point: "send.DELE"},
		death{name: "first DELE sent", verb: "DELE", then: gone},
	)
}

func TestK10BetweenDeles(t *testing.T) {
	kills(t,
		death{name: "pipelined", verb: "DELE", nth: 3, then: gone},
		death{name: "one by one", slow: true, verb: "DELE", nth: 2, then: gone},
	)
}

func TestK11AllDeleAnswered(t *testing.T) {
	kills(t, death{name: "before QUIT", point: "checked 2"})
}

func TestK12QuitNotWritten(t *testing.T) {
	kills(t, death{name: "about to send it", point: "send.QUIT"})
}

func TestK13QuitWritten(t *testing.T) {
	kills(t,
		death{name: "executed", verb: "QUIT", then: pop3test.Action{Run: true}},
		death{name: "not executed", verb: "QUIT", then: gone},
	)
}

func TestK14OutcomeNotRecorded(t *testing.T) {
	kills(t,
		death{name: "before the report", point: "report.before"},
		death{name: "after the report", point: "report.after"},
		death{name: "before the state", point: "save.before"},
		death{name: "after the state", point: "save.after"},
		death{name: "before the lease is released", point: "release.before"},
	)
}
