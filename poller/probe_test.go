package poller

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// looked checks that a look left no trace: nothing fetched, nothing marked,
// nothing sealed, nothing saved.
func (r *rig) looked(left int) {
	r.t.Helper()
	for _, c := range r.srv.Commands() {
		if slices.Contains([]string{"RETR", "DELE", "TOP", "RSET"}, c.Verb) {
			r.t.Errorf("%s was sent", c.Line())
		}
	}
	expect(r.t, "left", len(r.box.Left()), left)
	expect(r.t, "sealed", len(r.arc.sealed), 0)
	expect(r.t, "events", len(r.arc.events), 0)
	expect(r.t, "sessions in the state, where a login leaves its trace only", r.state().Sessions, 0)
	expect(r.t, "leases", len(r.leases.held), 0)
}

func (r *rig) probe() Probe {
	r.t.Helper()
	p, err := r.d.Probe(r.t.Context(), r.m, false)
	r.conns.Wait()
	if err != nil || p.Err != nil || p.Outcome != OutcomeOK {
		r.t.Fatalf("probe: %v, %+v", err, p)
	}
	return p
}

func TestProbeChangesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		p := r.probe()
		r.looked(5)
		if !p.Connected || !p.LoggedIn || !p.Before.Known || !p.After.Uidl || p.Quit != mail.QuitAcked || p.TLS != "" || p.Consuming || p.Mechanism == "" {
			t.Errorf("%+v", p)
		}
		expect(t, "messages", p.Messages, 5)
		var octets, largest int64
		for _, raw := range r.originals {
			octets += int64(len(raw))
			largest = max(largest, int64(len(raw)))
		}
		expect(t, "listing", *p.Listing, ProbedListing{Messages: 5, Octets: octets, Largest: largest, Uidl: true})
		expectForecast(t, p.Forecast, Forecast{Fetch: 5, Octets: octets})
		r.drainOK()
		expect(t, "drained afterwards", len(r.box.Left()), 0)
	}, letters(5)...)
}

func expectForecast(t *testing.T, got *Forecast, want Forecast) {
	t.Helper()
	if d := cmp.Diff(want, *got, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("forecast: %s", d)
	}
}

// The forecast is what the drain that follows does.
func TestProbeForecastsTheDrain(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.m.Policy = KeepAll
		r.drainOK() // all are sealed and stay
		r.deliver(pop3test.Message{UIDL: "new", Raw: []byte(letter("new", 300))}, pop3test.Message{UIDL: "huge", Raw: []byte(letter("huge", 3000))})
		r.m.MaxMessage = 2000
		keeping := r.probe()
		expectForecast(t, keeping.Forecast, Forecast{Sealed: 3, Fetch: 1, Octets: int64(len(r.originals[3])), Left: map[mail.Fate]int{mail.FateKept: 3, mail.FateOversize: 1}})
		expect(t, "oversize", keeping.Listing.Oversize, 1)
		r.m.Policy = DeleteSealed
		p := r.probe()
		expectForecast(t, p.Forecast, Forecast{Sealed: 3, Delete: 3, Fetch: 1, Octets: int64(len(r.originals[3])), Left: map[mail.Fate]int{mail.FateOversize: 1}})
		res := r.drainOK()
		expect(t, "fetched", res.Fetched, p.Forecast.Fetch)
		expect(t, "deleted", res.Deleted, p.Forecast.Delete+p.Forecast.Fetch)
		expect(t, "held", res.Held, p.Forecast.Left[mail.FateOversize])
		expect(t, "left", len(r.box.Left()), 1)
	}, letters(3)...)
}

// A breaker that is open keeps a drain from deleting, and the look says so.
func TestProbeTellsOfTheBreaker(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		st := &state{Version: stateVersion, Access: access{Proven: true}, Blast: blast{Since: time.Now(), Why: "6 of 10 messages are others", Of: 10}}
		for i, raw := range r.originals {
			k := rowKey{uidl: fmt.Sprintf("u%d", i+1), size: int64(len(raw))}
			st.Blast.Keys = binary.BigEndian.AppendUint64(st.Blast.Keys, k.sum())
		}
		data, err := st.encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.store.Save(t.Context(), r.m.Name, data, 0); err != nil {
			t.Fatal(err)
		}
		expect(t, "breaker", r.probe().Forecast.Breaker, "6 of 10 messages are others")
		if after, _, _ := r.store.Load(t.Context(), r.m.Name); !bytes.Equal(after, data) {
			t.Error("a look changed the state")
		}
	}, letters(6)...)
}

// Where the server consumes what was retrieved, QUIT after a look is harmless,
// because nothing was.
func TestProbeOfConsumingServer(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{RetrDeletes: true})
		p := r.probe()
		r.looked(3)
		if !p.Consuming || p.Quit != mail.QuitAcked {
			t.Errorf("%+v", p)
		}
	}, letters(3)...)
}

func TestProbeCountsBadNames(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.deliver(pop3test.Message{UIDL: "same", Raw: []byte(letter("a", 200))}, pop3test.Message{UIDL: "same", Raw: []byte(letter("b", 300))},
			pop3test.Message{Raw: []byte(letter("c", 400))})
		r.hooks(pop3test.Hooks{ListSize: func(n int, size int64) string {
			if n == 1 {
				return "-1"
			}
			return "17"
		}})
		l := r.probe().Listing
		expect(t, "listing", *l, ProbedListing{Messages: 4, Octets: 51, Largest: 17, UnknownSizes: 1, Uidl: true, Repeated: 2, Nameless: 1})
		r.hooks(pop3test.Hooks{NoUIDL: true})
		l = r.probe().Listing
		expect(t, "without UIDL", l.Uidl, false)
		expect(t, "nameless", l.Nameless, 4)
	}, letters(1)...)
}

// A look fails as a session does, and says how far it came.
func TestProbeFailures(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil   func(r *rig)
		outcome Outcome
		came    func(p Probe) bool
	}{
		"leased": {func(r *rig) { r.leases.Lease(r.t.Context(), r.m.Name) }, OutcomeBusy, func(p Probe) bool { return !p.Connected }},
		"refused": {func(r *rig) {
			r.m.Password = func(context.Context) (string, error) { return "wrong", nil }
		}, OutcomeCredentials, func(p Probe) bool { return p.Connected && !p.LoggedIn && p.Before.Known }},
		"no password": {func(r *rig) {
			r.m.Password = func(context.Context) (string, error) { return "", errors.New("no such file") }
		}, OutcomePerm, func(p Probe) bool { return !p.Connected }},
		"list cut": {func(r *rig) {
			r.hooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
				if c.Verb == "LIST" {
					return &pop3test.Action{Raw: "+OK\r\n1 17\r\n", End: pop3test.FIN}
				}
				return nil
			}})
		}, OutcomeTemp, func(p Probe) bool {
			return p.LoggedIn && p.Messages == 2 && p.Listing == nil && p.Quit == mail.QuitNone
		}},
		"misconfigured": {func(r *rig) { r.m.User = "" }, OutcomePerm, func(p Probe) bool { return !p.Connected }},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				tc.spoil(r)
				p, err := r.d.Probe(t.Context(), r.m, false)
				r.conns.Wait()
				if err == nil || p.Err == nil || p.Outcome != tc.outcome || !tc.came(p) {
					t.Errorf("%v: %+v", err, p)
				}
				if strings.Contains(r.logs.String(), secret) {
					t.Error("the password is in the log")
				}
			}, letters(2)...)
		})
	}
}

// The archive's trouble is not the mailbox's: the look tells all but the
// forecast.
func TestProbeWithoutArchive(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.arc.lookup = func() error { return mail.Errorf(mail.Temporary, "no archive serves") }
		p := r.probe()
		if p.Forecast != nil || p.NoForecast == nil || p.Listing.Messages != 2 || p.Quit != mail.QuitAcked {
			t.Errorf("%+v", p)
		}
	}, letters(2)...)
}
