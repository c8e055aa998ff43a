package store

import (
	"testing"
	"time"
)

func TestPolicy(t *testing.T) {
	at := time.Date(2024, 2, 29, 13, 0, 0, 1, time.UTC)
	for _, tc := range []struct {
		policy Policy
		now    time.Time
		want   string
	}{
		{Policy{Mode: Compliance, Period: Period{Years: 6}}, at, "in mode compliance until 2030-03-01T13:00:01Z"},
		{Policy{Mode: Compliance, Period: Period{Years: 6}, EndOfYear: true}, at, "in mode compliance until 2031-01-01T00:00:00Z"},
		{Policy{Mode: Governance, Period: Period{Days: 90}}, at, "in mode governance until 2024-05-29T13:00:01Z"},
		{Policy{Mode: Governance, Period: Period{Days: 90}, Classes: []Term{{Period{Years: 1}, true}, {Period{Years: 1}, false}}}, at, "in mode governance until 2026-01-01T00:00:00Z"},
		{Policy{Mode: Governance, Period: Period{Years: 2}, Classes: []Term{{Period{Years: 1}, true}}}, at, "in mode governance until 2026-03-01T13:00:01Z"},
		{Policy{Period: Period{Years: 6}}, at, "without retention"},
		// The period is over before it is stored: a day is the least.
		{Policy{Mode: Compliance, Period: Period{Days: 1}}, at.AddDate(1, 0, 0), "in mode compliance until 2025-03-02T13:00:01Z"},
	} {
		if got := tc.policy.For(at, tc.now).String(); got != tc.want {
			t.Errorf("%+v gives %s, not %s", tc.policy, got, tc.want)
		}
	}
}

func TestCovers(t *testing.T) {
	now := time.Now()
	strong := Retention{Mode: Compliance, Until: now}
	for _, tc := range []struct {
		have, want Retention
		covers     bool
	}{
		{strong, strong, true}, {strong, Retention{}, true}, {Retention{}, strong, false}, {Retention{}, Retention{}, true},
		{strong, Retention{Mode: Governance, Until: now}, true}, {Retention{Mode: Governance, Until: now}, strong, false},
		{strong, Retention{Mode: Compliance, Until: now.Add(time.Hour)}, false},
	} {
		if got := tc.have.Covers(tc.want); got != tc.covers {
			t.Errorf("%s covers %s: %v", tc.have, tc.want, got)
		}
		if both := tc.have.extended(tc.want); !both.Covers(tc.have) || !both.Covers(tc.want) {
			t.Errorf("%s and %s together are %s", tc.have, tc.want, both)
		}
	}
}
