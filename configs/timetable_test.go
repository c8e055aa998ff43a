package configs

import (
	"strings"
	"testing"
	"time"
)

// TestTimetableOverClockChanges: what the gap of spring swallows comes after it,
// once, and what autumn has twice comes twice.
func TestTimetableOverClockChanges(t *testing.T) {
	for _, c := range []struct {
		text, zone, from string
		want             []string
	}{
		{"30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00+01:00", []string{"2026-03-29T03:30:00+02:00", "2026-03-30T02:30:00+02:00"}},
		{"*/20 * * * *", "Europe/Berlin", "2026-03-29T01:30:00+01:00", []string{"2026-03-29T01:40:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T03:20:00+02:00"}},
		{"30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00+02:00", []string{"2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "2026-10-26T02:30:00+01:00"}},
		{"0 * * * *", "America/New_York", "2026-11-01T00:30:00-04:00", []string{"2026-11-01T01:00:00-04:00", "2026-11-01T01:00:00-05:00", "2026-11-01T02:00:00-05:00"}},
		{"*/15 8-18 * * MON-FRI", "Europe/Berlin", "2026-03-27T18:45:00+01:00", []string{"2026-03-30T08:00:00+02:00", "2026-03-30T08:15:00+02:00"}},
		{"@daily", "", "2026-03-28T12:00:00+01:00", []string{"2026-03-29T00:00:00Z", "2026-03-30T00:00:00Z"}},
		{"0 9 1 * 7", "UTC", "2026-03-28T12:00:00Z", []string{"2026-03-29T09:00:00Z", "2026-04-01T09:00:00Z"}},
	} {
		tt, p := parseTimetable(c.text, c.zone)
		if p != nil {
			t.Fatalf("%s: %s", c.text, p.text)
		}
		at, err := time.Parse(time.RFC3339, c.from)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range c.want {
			at = tt.Next(at)
			if got := at.Format(time.RFC3339); got != want {
				t.Errorf("%s, %d: %s, want %s", tt, i, got, want)
			}
		}
	}
}

func TestTimingByLevels(t *testing.T) {
	t.Parallel()
	file := write(t, "levels.yaml", `
poll: {schedule: "@hourly", timezone: Europe/Berlin, daily_limit: 2GiB, jitter: 0}
hosts:
  often.example.org: {interval: 5m, daily_limit: 1GiB}
  nightly.example.org: {schedule: "0 3 * * *"}
mailboxes:
  - {name: a, host: other.example.org, password_env: P}
  - {name: b, host: often.example.org, password_env: P}
  - {name: c, host: nightly.example.org, password_env: P}
  - {name: d, host: often.example.org, schedule: "@weekly", timezone: UTC, password_env: P}
  - {name: e, host: nightly.example.org, interval: 1h, daily_limit: 3GiB, password_env: P}
`)
	c, err := Load(Sources{File: file, Env: []string{"P=x"}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range c.Resolve() {
		when := "every " + Duration(m.Interval).String()
		if m.Timetable != nil {
			when = m.Timetable.String()
		}
		got = append(got, when+" "+Size(m.DailyLimit).String())
	}
	want := "@hourly Europe/Berlin 2GiB\nevery 5m 1GiB\n0 3 * * * Europe/Berlin 2GiB\n@weekly UTC 1GiB\nevery 1h 3GiB"
	if g := strings.Join(got, "\n"); g != want {
		t.Errorf("got\n%s\nwant\n%s", g, want)
	}
}

// FuzzTimetable: whatever is written as a schedule is refused or goes forward.
func FuzzTimetable(f *testing.F) {
	for _, s := range []string{"*/15 8-18 * * MON-FRI", "@hourly", "0 0 29 2 *", "TZ=", "60 * * * *", "*/0 * * * *", "1-5/2,7 0 L * ?"} {
		f.Add(s, "Europe/Berlin")
	}
	f.Fuzz(func(t *testing.T, text, zone string) {
		tt, p := parseTimetable(text, zone)
		if p != nil {
			return
		}
		at := time.Date(2026, 3, 29, 0, 0, 0, 0, time.UTC)
		for range 10 {
			next := tt.Next(at)
			if next.IsZero() {
				return // beyond the years that the parser looks ahead
			}
			if !next.After(at) {
				t.Fatalf("%q in %q: %s after %s", text, zone, next, at)
			}
			at = next
		}
	})
}
