package poller

import (
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// A mailbox without news leaves one report an hour, which counts the sessions
// between; whatever happens is reported at once.
func TestQuietSessionsLeaveOneReportAnHour(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.drainOK() // empties it: one report
		r.drainOK() // other numbers than the last report: one more
		reports := len(r.arc.events)
		expect(t, "reports at first", reports, 2)
		for range 10 {
			elapse(time.Minute)
			r.drainOK()
		}
		expect(t, "reports of ten quiet sessions", len(r.arc.events)-reports, 0)
		elapse(time.Hour)
		r.drainOK()
		expect(t, "reports after an hour", len(r.arc.events)-reports, 1)
		expect(t, "quiet sessions told", r.arc.lastEvent().Quiet, 10)
		elapse(time.Minute)
		r.drainOK()
		r.deliver(pop3test.Message{UIDL: "news", Raw: []byte(letter("news", 100))})
		elapse(time.Minute)
		r.drainOK()
		expect(t, "reports of news", len(r.arc.events)-reports, 2)
		expect(t, "fetched", r.arc.lastEvent().Fetched, 1)
		expect(t, "quiet sessions before it", r.arc.lastEvent().Quiet, 1)
	}, letters(3)...)
}
