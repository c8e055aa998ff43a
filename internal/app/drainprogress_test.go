package app

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/poller"
)

// The sessions of a round are one piece of work; a later round is another.
func TestDrainProgressSumsSessions(t *testing.T) {
	var got []Progress
	d := newDrainProgress(Console{Progress: func(p Progress) { got = append(got, p) }})
	for _, p := range []poller.Progress{
		{Session: "1", Phase: poller.PhaseFetch, Listed: 900, Planned: 500, Left: 400},
		{Session: "1", Phase: poller.PhaseFetch, Listed: 900, Planned: 500, Left: 400, Sealed: 200, Octets: 20},
		{Session: "1", Phase: poller.PhaseDone, Listed: 900, Planned: 500, Left: 400, Sealed: 500, Octets: 50},
		{Session: "2", Phase: poller.PhaseFetch, Listed: 400, Planned: 400, Sealed: 100, Octets: 10},
		{Session: "2", Phase: poller.PhaseDone, Listed: 400, Planned: 400, Sealed: 400, Octets: 40},
		{Session: "3", Phase: poller.PhaseFetch, Listed: 7, Planned: 7, Sealed: 1, Octets: 1},
	} {
		p.Mailbox = "office"
		d.Progress(p)
	}
	want := []Progress{
		{Done: 0, Total: 900}, {Done: 200, Total: 900, Octets: 20}, {Done: 500, Total: 900, Octets: 50},
		{Done: 600, Total: 900, Octets: 60}, {Done: 900, Total: 900, Octets: 90, Finished: true},
		{Done: 1, Total: 7, Octets: 1},
	}
	for i := range want {
		want[i].Phase, want[i].Subject = PhaseDrain, "office"
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Without a console nothing is counted.
func TestDrainProgressWithoutConsole(t *testing.T) {
	d := newDrainProgress(Console{})
	d.Progress(poller.Progress{Mailbox: "office", Session: "1"})
	if len(d.tallies) > 0 {
		t.Error("it counts for nobody")
	}
}
