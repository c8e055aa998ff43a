package poller

import "fmt"

// A profile is what a server's LIST sizes mean. With W octets delivered, L lines
// of them, and D announced:
type profile string

const (
	unknown    profile = ""           // nothing learnt yet; judged as exact
	exact      profile = "exact"      // W = D, or W = D+2 where the server added the final CR LF
	linefeeds  profile = "lf"         // W-L = D (or D+1): the server counts line ends as one octet
	rounded    profile = "rounded"    // D is W rounded up to a multiple of 1024
	unreliable profile = "unreliable" // D says nothing
)

// Samples needed before a profile is believed. Only lf can be told by few: it is
// the stricter reading, so believing it wrongly costs a hold and never a loss.
const (
	samplesLF         = 5
	samplesRounded    = 20
	samplesUnreliable = 20 // in each direction
)

// roundedTo is the unit of servers that round sizes up.
const roundedTo = 1024

// sizes counts how the deliveries of a mailbox compare with LIST. RFC 1939
// section 11 wants exact sizes; the counts tell how a server departs from it.
type sizes struct {
	Profile profile `json:"profile,omitempty"`
	Exact   int     `json:"exact,omitempty"`
	LF      int     `json:"lf,omitempty"`
	Rounded int     `json:"rounded,omitempty"` // compatible with rounding, whatever else
	Over    int     `json:"over,omitempty"`    // longer than announced, not exact nor lf
	Under   int     `json:"under,omitempty"`   // shorter than announced
	All     int     `json:"all,omitempty"`
}

// A delivered message, as far as the size gate looks at it.
type measure struct {
	octets, lines     int64 // as delivered
	listed, announced int64 // by LIST, by the answer to RETR; -1 if unknown
}

func (m measure) exact() bool {
	return m.listed >= 0 && (m.octets == m.listed || m.octets == m.listed+2)
}

func (m measure) linefeeds() bool {
	short := m.octets - m.lines
	return m.lines > 0 && (short == m.listed || short == m.listed+1)
}

func (m measure) rounded() bool {
	return m.listed%roundedTo == 0 && m.listed >= m.octets && m.listed-m.octets < roundedTo
}

// learn counts a delivery and reports whether the profile changed.
func (s *sizes) learn(m measure) (changed bool) {
	if m.listed < 0 {
		return false
	}
	s.All++
	if m.rounded() {
		s.Rounded++
	}
	switch {
	case m.exact():
		s.Exact++
	case m.linefeeds():
		s.LF++
	case m.octets > m.listed:
		s.Over++
	default:
		s.Under++
	}
	before := s.Profile
	s.Profile = s.judge()
	return s.Profile != before
}

// judge returns the profile that the counts earn. A shortfall alone never earns
// a lenient one: a server that truncates looks like that.
func (s *sizes) judge() profile {
	switch {
	case s.All >= samplesRounded && s.Rounded == s.All && s.Exact < s.All:
		return rounded
	case s.Over >= samplesUnreliable && s.Under >= samplesUnreliable && s.Exact < s.All/2:
		return unreliable
	case s.LF >= samplesLF && s.LF > 4*(s.Exact+s.Over+s.Under):
		return linefeeds
	case s.Exact > 0:
		return exact
	}
	return unknown
}

// short returns why the delivery may be incomplete, or "". broken tells whether
// the message's MIME structure has no end; it counts only where sizes do not.
func (s *sizes) short(p SizePolicy, m measure, broken bool) string {
	prof := s.Profile
	if p == SizesUnreliable {
		prof = unreliable
	}
	have, want := m.octets, m.listed
	if want < 0 {
		want = m.announced
	}
	least := want
	switch prof {
	case linefeeds:
		have -= m.lines
	case rounded:
		least -= roundedTo - 1
	case unreliable:
		if broken {
			return "short: the last MIME boundary is missing"
		}
		return ""
	}
	if m.exact() || have >= least {
		return ""
	}
	return fmt.Sprintf("short: %d octets delivered, %d announced", m.octets, want)
}
