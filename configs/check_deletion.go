package configs

import "strings"

// deletion is what one level of the configuration says about deleting mail; zero
// values are unset.
type deletion struct {
	age             Duration
	maxDoubt        int
	maxDoubtPercent int
}

// deletion checks one level.
func (k *checking) deletion(key string, d deletion) {
	if d.age != 0 {
		within(k, join(key, "delete_age"), d.age, hour, 3650*24*hour)
	}
	if d.maxDoubt != 0 {
		within(k, join(key, "max_doubt"), d.maxDoubt, 1, 10_000)
	}
	if d.maxDoubtPercent != 0 {
		within(k, join(key, "max_doubt_percent"), d.maxDoubtPercent, 1, 100)
	}
}

// consuming checks what a mailbox may ask of a server that removes or hides what
// was fetched. What the mailbox inherits is told at its own place.
func (k *checking) consuming(m *Mailbox) {
	r := k.config.resolve(m)
	where := join(m.key, "delete")
	switch {
	case r.RetrConsuming && r.Delete == DeleteAfterAge:
		k.fault(where, "after-age is to leave mail on a server that removes what was fetched",
			"set delete: after-seal for this mailbox or its host")
	case r.Profile == ProfileGmail && r.Delete == DeleteNever:
		k.fault(where, "never is to leave mail on Gmail, which lists some 250 messages and goes on only when they are drained",
			"set delete: after-seal; what Gmail keeps is set in Gmail")
	}
	if r.Profile != ProfileGmail {
		return
	}
	if strings.HasPrefix(strings.ToLower(r.User), gmailRecent) {
		k.fault(join(m.key, "user"), quote(r.User)+" makes Gmail list the mail of the last 30 days again and again",
			"remove the prefix "+gmailRecent)
	}
	if r.DailyLimit == 0 {
		k.warn(m.key, "Gmail locks accounts that download more than 1250 MB a day", "set daily_limit: 1GiB for its host")
	}
}

// gmailRecent in front of a user of Gmail shows the last 30 days, whoever has
// fetched them.
const gmailRecent = "recent:"
