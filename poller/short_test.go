package poller

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// cutLetter delivers the letter of the number without its end, wherever it is.
func cutLetter(n int, short func(raw []byte) []byte) func(int, []byte) []byte {
	return func(_ int, raw []byte) []byte {
		if strings.Contains(string(raw), fmt.Sprintf("letter %d\r\n", n)) {
			return short(raw)
		}
		return raw
	}
}

func half(raw []byte) []byte { return raw[:len(raw)/2] }

// hourly holds sessions for so long.
func (r *rig) hourly(d time.Duration) {
	r.t.Helper()
	for range d / time.Hour {
		elapse(time.Hour)
		r.drainOK()
	}
}

func TestRow57ShortStaysForGood(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{Body: cutLetter(2, half)})
		r.drainOK()
		r.hourly(30 * day)
		if n := r.count("RETR", 0); n < 3+3 {
			t.Errorf("%d RETRs in 30 days", n)
		}
		expect(t, "same bytes", r.trouble("u2").Same >= shortTimes, true)
		expect(t, "left", len(r.box.Left()), 1)
		expect(t, "DELE", r.count("DELE", 0), 2)
		expect(t, "alarm", strings.Contains(r.logs.String(), "shorter than announced; it is sealed as suspect"), true)
	}, letters(3)...)
}

// By the operator's word it goes, after a day of the same bytes, and the report
// says so.
func TestRow57ShortDeletedAsConfigured(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.strict, r.originals = false, r.originals[:1] // what is missing is lost, as configured
		r.m.OnShort = ShortDeleted
		r.hooks(pop3test.Hooks{Body: cutLetter(2, half)})
		r.drainOK()
		for range 23 {
			elapse(time.Hour)
			r.d.Drain(t.Context(), r.m)
		}
		r.conns.Wait()
		expect(t, "left within a day", len(r.box.Left()), 1)
		for range 10 {
			elapse(time.Hour)
			r.d.Drain(t.Context(), r.m)
		}
		r.conns.Wait()
		expect(t, "left", len(r.box.Left()), 0)
		told := mail.DrainRow{}
		for _, e := range r.arc.events {
			for _, row := range e.Rows {
				if row.Fate == mail.FateDeletedShort {
					told = row
				}
			}
		}
		if told.ID == nil || !told.Deleted || string(told.UIDL) != "u2" {
			t.Errorf("row %+v", told)
		}
		expect(t, "in the log", strings.Contains(r.logs.String(), "it is deleted as configured"), true)
		expect(t, "nobody waits", r.trouble("u2").Trouble, none)
	}, letters(2)...)
}

// Rare sessions need their three times as well.
func TestRow57ShortDeletedAfterThreeDays(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.strict, r.originals = false, nil
		r.m.OnShort = ShortDeleted
		r.hooks(pop3test.Hooks{Body: cutLetter(1, half)})
		for _, left := range []int{1, 1, 0} {
			r.d.Drain(t.Context(), r.m)
			r.conns.Wait()
			expect(t, "left", len(r.box.Left()), left)
			elapse(25 * time.Hour)
		}
	}, letters(1)...)
}

// A message that is still changing, or that the policy keeps, does not go.
func TestRow57ShortIsNotDeleted(t *testing.T) {
	for name, script := range map[string]func(r *rig) func([]byte) []byte{
		"other bytes each time": func(r *rig) func([]byte) []byte {
			return func(raw []byte) []byte { return raw[:len(raw)/4+r.srv.Sessions()%50] }
		},
		"policy never": func(r *rig) func([]byte) []byte { r.m.Policy = KeepAll; return half },
		"the archive has other bytes": func(r *rig) func([]byte) []byte {
			r.arc.seal = func(d mail.Delivery) sealing {
				return sealing{alter: func(rc *mail.Receipt) {
					if d.Suspect != "" {
						rc.Digest[0] ^= 1
					}
				}}
			}
			return half
		},
		"the archive has no suspect copy": func(r *rig) func([]byte) []byte {
			r.arc.seal = func(d mail.Delivery) sealing {
				return sealing{alter: func(rc *mail.Receipt) { rc.Suspect = "" }}
			}
			return half
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.m.OnShort = ShortDeleted
				r.hooks(pop3test.Hooks{Body: cutLetter(1, script(r))})
				r.drainOK()
				r.hourly(10 * day)
				expect(t, "left", len(r.box.Left()), 1)
				expect(t, "DELE", r.count("DELE", 0), 0)
			}, letters(1)...)
		})
	}
}

// Many messages that come short at once are the server's trouble: the breaker
// stops what the operator's word allows for single ones.
func TestRow57ManyShortOpenTheBreaker(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.m.OnShort = ShortDeleted
		r.hooks(pop3test.Hooks{Body: func(_ int, raw []byte) []byte { return half(raw) }})
		outcome := OutcomeOK
		for range 40 {
			elapse(time.Hour)
			if o := r.drain().Outcome; o != OutcomeOK {
				outcome = o
			}
		}
		expect(t, "outcome", outcome, OutcomeBreaker)
		expect(t, "DELE", r.count("DELE", 0), 0)
	}, letters(20)...)
}

// A session of Gmail: what was fetched is hidden once QUIT was sent, DELE is
// ignored, and a listing is never longer than a portion.
func gmail(portion int) pop3test.Hooks { return pop3test.Hooks{RetrHides: true, ListOnly: portion} }

func TestRow76GmailLoopsToEmpty(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.m.RetrConsuming = true
		r.d.Sessions, r.strict = 0, false
		r.hooks(gmail(250))
		res := r.drainOK()
		expect(t, "sealed", len(r.arc.bodies), 600)
		expect(t, "sessions", res.Sessions, 3+1)
		expect(t, "listed last", res.Last.Listed, 0)
		expect(t, "vanished", res.Vanished, mail.Vanished{})
	}, letters(600)...)
}

// What is fetched and not sealed is not hidden: the connection is dropped, and
// everything is listed again.
func TestRow76GmailDropKeepsMail(t *testing.T) {
	for name, verify := range map[string]bool{"with the profile": true, "by retr_consuming": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.m.RetrConsuming, r.m.VerifyByDigest = true, verify
				r.d.Sessions, r.strict = 0, false
				r.hooks(gmail(250))
				r.arc.seal = func(d mail.Delivery) sealing { return sealing{never: d.UIDL == "u7"} }
				r.drain()
				expect(t, "QUIT", r.count("QUIT", 0), 0)
				r.arc.seal = nil
				for range 4 {
					elapse(time.Hour)
					r.drain()
				}
				expect(t, "sealed", len(r.arc.bodies), 300)
				expect(t, "still listed", r.drainOK().Listed, 0)
			}, letters(300)...)
		})
	}
}
