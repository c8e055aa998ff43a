package pop3_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/poller/pop3"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

func TestRow30SlowSTAT(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
			if c.Verb == "STAT" {
				return &pop3test.Action{Delay: 4 * time.Minute, Run: true}
			}
			return nil
		}})
		if n, octets, err := r.login().Stat(t.Context()); n != 1 || octets != 5 || err != nil {
			t.Errorf("%d, %d, %v", n, octets, err)
		}
	}, "abc")
}

func TestStat(t *testing.T) {
	for answer, want := range map[string][2]int64{
		"+OK 2 320": {2, 320}, "+OK 0 0 messages": {0, 0}, "+OK  3  4  ": {3, 4}, "+OK 5": {5, -1}, "+OK 5 -1": {5, -1},
		"+OK 7 99999999999999999999": {7, -1}, "+OK 9223372036854775807 1": {-1}, "+OK": {-1}, "+OK many": {-1}, "+OK -1 3": {-1},
	} {
		bubble(t, func(t *testing.T, r *rig) {
			r.hooks(on(map[string]string{"STAT": answer + "\r\n"}))
			n, octets, err := r.login().Stat(t.Context())
			if want[0] < 0 {
				wantError(t, err, pop3.Protocol, nil)
			} else if int64(n) != want[0] || octets != want[1] || err != nil {
				t.Errorf("%q: %d, %d, %v", answer, n, octets, err)
			}
		})
	}
}

func TestRow33To35UIDL(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) { // announced and refused: a passing trouble
		r.hooks(on(map[string]string{"UIDL": "-ERR index is being rebuilt\r\n"}))
		_, err := r.login().Uidl(t.Context())
		wantError(t, err, pop3.Temp, nil)
		if errors.Is(err, pop3.ErrUnsupported) {
			t.Error("taken for a server without UIDL")
		}
	})
	bubble(t, func(t *testing.T, r *rig) { // there is none
		r.hooks(pop3test.Hooks{NoUIDL: true})
		tx := r.login()
		if _, err := tx.Uidl(t.Context()); !errors.Is(err, pop3.ErrUnsupported) {
			t.Errorf("%v", err)
		}
		if err := tx.Noop(t.Context()); err != nil {
			t.Errorf("the session did not go on: %v", err)
		}
	})
	bubble(t, func(t *testing.T, r *rig) { // odd ones
		long := strings.Repeat("u", 300)
		r.hooks(on(map[string]string{"UIDL": "+OK\r\n1 \r\n2\r\n3 " + long + "\r\n4  two words \r\n5 \xe4\xff\r\n6 a\tb\r\n7 \x01\r\n..8 x\r\n8 same\r\n9 same\r\n.\r\n"}))
		got, err := r.login().Uidl(t.Context())
		want := []pop3.UidlRow{{1, ""}, {2, ""}, {3, long}, {4, "two words "}, {5, "\xe4\xff"}, {6, ""}, {7, ""}, {8, "same"}, {9, "same"}}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

// TestListings: what LIST and UIDL answer does not depend on whether they are
// asked at once, and a refusal of either leaves the session in step.
func TestListings(t *testing.T) {
	for name, c := range map[string]struct {
		hooks       pop3test.Hooks
		rows, uidls int
		err         bool
		unsupported bool // the error of UIDL
		refused     bool
	}{
		"both":              {rows: 2, uidls: 2},
		"none of UIDL":      {hooks: pop3test.Hooks{NoUIDL: true}, rows: 2, unsupported: true},
		"UIDL refused":      {hooks: on(map[string]string{"UIDL": "-ERR later\r\n"}), rows: 2, refused: true},
		"LIST refused":      {hooks: on(map[string]string{"LIST": "-ERR later\r\n"}), err: true},
		"octets one by one": {hooks: pop3test.Hooks{Segment: 1}, rows: 2, uidls: 2},
	} {
		for _, alone := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%v", name, alone), func(t *testing.T) {
				bubble(t, func(t *testing.T, r *rig) {
					r.d.NoPipelining = alone
					r.hooks(c.hooks)
					tx := r.login()
					l, err := tx.Listings(t.Context())
					if (err != nil) != c.err || err == nil && (len(l.Rows) != c.rows || len(l.Uidls) != c.uidls) {
						t.Errorf("%+v, %v", l, err)
					}
					if errors.Is(l.UidlErr, pop3.ErrUnsupported) != c.unsupported || (l.UidlErr != nil) != (c.unsupported || c.refused) {
						t.Errorf("UIDL: %v", l.UidlErr)
					}
					if err := tx.Noop(t.Context()); err != nil {
						t.Errorf("the session did not go on: %v", err)
					}
				}, "abc", "def")
			})
		}
	}
}

func TestRow40ListingCut(t *testing.T) {
	for _, verb := range []string{"LIST", "UIDL"} {
		bubble(t, func(t *testing.T, r *rig) {
			r.hooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
				if c.Verb == verb {
					return &pop3test.Action{Raw: "+OK\r\n1 100\r\n", End: pop3test.FIN}
				}
				return nil
			}})
			tx := r.login()
			_, errL := tx.List(t.Context())
			_, errU := tx.Uidl(t.Context())
			wantError(t, errU, pop3.Temp, io.ErrUnexpectedEOF)
			if verb == "LIST" {
				wantError(t, errL, pop3.Temp, io.ErrUnexpectedEOF)
			}
		})
	}
}

func TestRow41OddLISTs(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(on(map[string]string{"LIST": "+OK\r\n7 70 and more\r\n 2  20\r\n3 -1\r\n4 9223372036854775807\r\n5 9223372036854775808\r\n" +
			"6\r\n2 21\r\n0 1\r\n-1 1\r\nx 1\r\n99999999999999999999 1\r\n\r\n.\r\n"}))
		got, err := r.login().List(t.Context())
		want := []pop3.Row{{2, 20}, {3, -1}, {4, math.MaxInt64}, {5, -1}, {6, -1}, {7, 70}}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v, %v", got, err)
		}
	})
}

func TestRow42LongListing(t *testing.T) {
	const rows = 200_000
	r := newRig(t)
	for i := range rows {
		r.box.Messages = append(r.box.Messages, pop3test.Message{UIDL: fmt.Sprintf("unique-id-%032d", i)})
	}
	r.overTCP()
	tx := r.login()
	if n, _, err := tx.Stat(t.Context()); n != rows || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	got, err := tx.Uidl(t.Context())
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	if err != nil || len(got) != rows || got[rows-1] != (pop3.UidlRow{Number: rows, UIDL: r.box.Messages[rows-1].UIDL}) {
		t.Fatalf("%d rows, %v", len(got), err)
	}
	// What the answer itself needs is 48 octets of text and 24 of row, growing. The
	// time only tells an answer from one whose cost grows with its square.
	if each := (after.TotalAlloc - before.TotalAlloc) / rows; each > 500 || took > time.Minute {
		t.Errorf("%d octets allocated for a row, %v in all", each, took)
	}
}

func TestListingBounds(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) { // beyond what STAT counted, and some
		r.hooks(on(map[string]string{"STAT": "+OK 1 1\r\n", "LIST": "+OK\r\n" + strings.Repeat("1 1\r\n", 20_000) + ".\r\n"}))
		tx := r.login()
		if _, _, err := tx.Stat(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := tx.List(t.Context())
		wantError(t, err, pop3.Protocol, nil)
		wantError(t, tx.Noop(t.Context()), pop3.Protocol, nil)
	})
	bubble(t, func(t *testing.T, r *rig) { // rows that are not kept are read
		r.d.Limits.Rows = 2
		tx := r.login()
		if rows, err := tx.List(t.Context()); err != nil || len(rows) != 2 {
			t.Fatalf("%v, %v", rows, err)
		}
		if err := tx.Noop(t.Context()); err != nil {
			t.Error(err)
		}
	}, "a", "b", "c")
	bubble(t, func(t *testing.T, r *rig) { // a line without end
		r.hooks(on(map[string]string{"LIST": "+OK\r\n1 " + strings.Repeat("1", 2000) + "\r\n.\r\n"}))
		_, err := r.login().List(t.Context())
		wantError(t, err, pop3.Protocol, nil)
	})
}

// TestDrip tells that a server cannot hold a session by sending now and then.
func TestDrip(t *testing.T) {
	for name, c := range map[string]struct {
		prefix string
		most   time.Duration
	}{
		"status line": {"", 5 * time.Minute}, "listing line": {"+OK\r\n", 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.script(func(conn net.Conn) {
					dialog(conn, "+OK\r\n", "-ERR\r\n", "+OK\r\n", "+OK\r\n", "-ERR\r\n", c.prefix)
					for {
						if _, err := io.WriteString(conn, "1"); err != nil {
							return
						}
						<-time.After(50 * time.Second)
					}
				})
				tx := r.login()
				start := time.Now()
				_, err := tx.List(t.Context())
				wantError(t, err, pop3.Temp, nil)
				if d := time.Since(start); d > c.most {
					t.Errorf("held for %v", d)
				}
			})
		})
	}
}
