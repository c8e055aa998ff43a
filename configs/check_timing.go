package configs

// timing is when one level of the configuration wants its mailboxes polled;
// zero values are unset.
type timing struct {
	interval   Duration
	schedule   string
	timezone   string
	dailyLimit Size
}

// timing checks one level. An interval and a schedule on the same level
// contradict each other; on an inner level either replaces what is further out.
func (k *checking) timing(key string, t timing) {
	if t.schedule != "" {
		if _, p := parseTimetable(t.schedule, t.timezone); p != nil {
			k.fault(join(key, "schedule"), p.text, p.hint)
		}
		if t.interval != 0 {
			k.fault(join(key, "schedule"), "interval is set too", "remove one of them")
		}
	}
	if t.timezone != "" {
		if _, p := parseZone(t.timezone); p != nil {
			k.fault(join(key, "timezone"), p.text, p.hint)
		}
	}
	if t.dailyLimit != 0 {
		within(k, join(key, "daily_limit"), t.dailyLimit, mib, 64*tib)
	}
}
