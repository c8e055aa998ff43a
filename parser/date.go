package parser

import (
	"strconv"
	"strings"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// The sources that EffectiveDate names.
const (
	FromHeader   = "header"
	FromReceived = "received"
	FromFetched  = "fetched"
)

// daySlack is how far a sender's clock may be ahead.
const daySlack = 24 * time.Hour

// EffectiveDate returns the date by which m is sorted and searched, in UTC, and
// where it comes from: its Date field if that is plausible (not before 1980,
// not a day after it was received or fetched), else its topmost Received field,
// else the time it was fetched. Retention must not rest on it: senders choose
// the first.
func EffectiveDate(m *mail.Message, fetched time.Time) (t time.Time, source string) {
	received := plausible(m.DateReceived, fetched)
	limit := m.DateReceived
	if !received { // a server whose clock is off does not make the sender's wrong
		limit = time.Time{}
	}
	switch {
	case plausible(m.DateHeader, limit, fetched):
		return m.DateHeader.UTC(), FromHeader
	case received:
		return m.DateReceived.UTC(), FromReceived
	}
	return fetched.UTC(), FromFetched
}

// plausible reports whether t lies in the time of mail and not past the limits
// that are set.
func plausible(t time.Time, limits ...time.Time) bool {
	if t.IsZero() || t.UTC().Year() < 1980 {
		return false
	}
	for _, l := range limits {
		if !l.IsZero() && t.After(l.Add(daySlack)) {
			return false
		}
	}
	return true
}

// A dateParser gathers the pieces of a date, in whatever order they come.
type dateParser struct {
	year, month, day int // 0 if not met yet
	hour, min, sec   int
	timed            bool
	offset           int // seconds east of UTC
	zoned            bool
	pm, am           bool
	lenient          bool
}

// parseDate reads a date: RFC 5322 section 3.3 with its obsolete zones and
// years, and the other forms that mail has: ISO 8601, ctime, names of days and
// months in full and in German, dots in times, 24:00. lenient says that it was
// not in the form of RFC 5322. An unknown zone is read as UTC. The result has a
// fixed offset, a year from 1 to 9999, and is only given if ok.
func parseDate(v string) (t time.Time, lenient, ok bool) {
	if len(v) > 256 {
		v = v[:256]
	}
	var p dateParser
	v, comment := cutComment(v)
	for tok := range strings.FieldsFuncSeq(v, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' || r == ';' }) {
		if !p.token(tok) {
			p.lenient = true
		}
	}
	if !p.zoned && p.timed {
		p.lenient = true
		p.zone(strings.Trim(comment, " ()"))
	}
	t, ok = p.date()
	return t, p.lenient, ok
}

// cutComment takes out the comment, in which the zone's name usually stands.
func cutComment(v string) (rest, comment string) {
	i := strings.IndexByte(v, '(')
	if i < 0 {
		return v, ""
	}
	j := strings.LastIndexByte(v, ')')
	if j < i {
		return v[:i], v[i+1:]
	}
	return v[:i] + " " + v[j+1:], v[i+1 : j]
}

// token takes one piece and reports whether it is one of RFC 5322.
func (p *dateParser) token(tok string) bool {
	c := tok[0]
	switch {
	case strings.Contains(tok, ":") && digit(c):
		return p.clock(tok)
	case c == '+' || c == '-':
		return p.timed && p.numericZone(tok)
	case digit(c):
		return p.number(tok)
	}
	return p.word(tok)
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// number takes a day, a year, or a date in digits.
func (p *dateParser) number(tok string) bool {
	if day, ok := strings.CutSuffix(tok, "."); ok {
		p.number(day)
		return false
	}
	if i := strings.IndexAny(tok, "-/."); i > 0 {
		return p.joined(tok, tok[i])
	}
	if len(tok) == 8 && p.year == 0 && strings.Trim(tok, "0123456789") == "" {
		return p.joined(tok[:4]+"-"+tok[4:6]+"-"+tok[6:], '-')
	}
	digits := strings.TrimRight(strings.ToLower(tok), "stndrh.")
	n, err := strconv.Atoi(digits)
	switch {
	case err != nil:
		return false
	case p.day == 0 && (len(digits) <= 2 || digits[0] == '0' && len(digits) == 3) && n >= 1 && n <= 31:
		p.day = n
		return len(digits) == len(tok) && len(digits) <= 2
	case p.year == 0 && len(digits) <= 4:
		p.year = century(n, len(digits))
		return len(digits) == len(tok) && len(digits) != 3
	}
	return false
}

// century completes a short year (RFC 5322 section 4.3).
func century(n, digits int) int {
	switch {
	case digits <= 2 && n < 50:
		return 2000 + n
	case digits <= 3 && n < 1000:
		return 1900 + n
	}
	return n
}

// joined takes dates whose fields one octet joins: 2026-11-24, 24-Nov-2026,
// 24.11.2026, 11/24/2026, and times with dots, 10.15.00. It never is RFC 5322.
func (p *dateParser) joined(tok string, sep byte) bool {
	if day, clock, ok := strings.Cut(tok, "T"); ok && sep == '-' && strings.Contains(clock, ":") {
		p.joined(day, sep)
		p.clock(clock)
		return false
	}
	f := strings.Split(strings.Trim(tok, string(sep)), string(sep))
	if sep == '.' && (p.day != 0 || len(f[0]) == 2 && len(f) == 3 && p.year != 0) && !p.timed {
		p.clock(strings.Join(f, ":"))
		return false
	}
	if len(f) != 3 || p.day != 0 && p.year != 0 {
		return false
	}
	a, errA := strconv.Atoi(f[0])
	b, errB := strconv.Atoi(f[1])
	c, errC := strconv.Atoi(f[2])
	switch {
	case errA != nil || errC != nil:
		return false
	case errB != nil:
		p.word(f[1])
		p.day, p.year = a, century(c, len(f[2]))
	case len(f[0]) == 4:
		p.year, p.month, p.day = a, b, c
	case sep == '/' && a <= 12:
		p.month, p.day, p.year = a, b, century(c, len(f[2]))
	default:
		p.day, p.month, p.year = a, b, century(c, len(f[2]))
	}
	return false
}

// clock takes hh:mm or hh:mm:ss with what may stick to it: a fraction, a zone.
func (p *dateParser) clock(tok string) bool {
	if i := strings.IndexByte(tok, 'T'); i > 0 && strings.Contains(tok[:i], "-") {
		p.joined(tok[:i], '-')
		p.clock(tok[i+1:])
		return false
	}
	if p.timed {
		return false
	}
	end := 0
	for end < len(tok) && (digit(tok[end]) || tok[end] == ':') {
		end++
	}
	f := strings.Split(tok[:end], ":")
	if len(f) < 2 || len(f) > 4 {
		return false
	}
	var n [4]int
	for i, s := range f {
		v, err := strconv.Atoi(s)
		if err != nil {
			return false
		}
		n[i] = v
	}
	p.hour, p.min, p.sec, p.timed = n[0], n[1], n[2], true
	rest := tok[end:]
	if strings.HasPrefix(rest, ".") {
		rest = strings.TrimLeft(rest[1:], "0123456789")
	}
	if rest != "" {
		p.token(rest)
	}
	return end == len(tok) && len(f) < 4
}

// numericZone takes +hhmm, +hh:mm or +hh.
func (p *dateParser) numericZone(tok string) bool {
	d := strings.ReplaceAll(tok[1:], ":", "")
	n, err := strconv.Atoi(d)
	if err != nil || len(d) > 4 || p.zoned && p.offset != 0 {
		return false
	}
	if len(d) <= 2 {
		n *= 100
	}
	p.zoned = true
	if n/100 > 15 || n%100 > 59 {
		return false
	}
	p.offset = (n/100*60 + n%100) * 60
	if tok[0] == '-' {
		p.offset = -p.offset
	}
	return len(tok) == 5
}

// word takes the name of a month, a day or a zone.
func (p *dateParser) word(tok string) bool {
	low := strings.ToLower(strings.Trim(tok, "."))
	if i := strings.IndexAny(low, "+-"); i > 0 { // GMT+0100
		p.zoned = p.zone(low[:i])
		p.numericZone(low[i:])
		return false
	}
	if m := month(low); m != 0 && p.month == 0 {
		p.month = m
		return len(low) == 3
	}
	switch low {
	case "am", "pm":
		p.am, p.pm = low == "am", low == "pm"
		return false
	case "um", "uhr", "at", "dst":
		return false
	}
	if p.timed && p.zone(low) {
		return true
	}
	for _, day := range weekdays {
		if low == day[:3] || low == day {
			return low != day
		}
	}
	if found := strings.Contains(low, "-"); !found && p.timed && !p.zoned && len(low) == 1 {
		p.zoned = true // military: RFC 5322 section 4.3 says to read it as -0000
		return true
	}
	return false
}

// zone takes the name of a zone and reports whether it is known.
func (p *dateParser) zone(name string) bool {
	off, ok := zones[strings.ToLower(name)]
	if !ok {
		return false
	}
	if !p.zoned {
		p.offset, p.zoned = off*60, true
	}
	return true
}

func month(low string) int {
	for i, name := range months {
		if low == name || len(name) > 3 && low == name[:3] || low == "sept" && i == 8 {
			return i + 1
		}
	}
	return monthsElsewhere[low]
}

// date checks the pieces and joins them.
func (p *dateParser) date() (time.Time, bool) {
	if p.day == 0 || p.month < 1 || p.month > 12 || p.year < 1 || p.year > 9999 {
		return time.Time{}, false
	}
	if p.day > 31 || p.hour > 24 || p.min > 59 || p.sec > 60 {
		return time.Time{}, false
	}
	switch {
	case p.pm && p.hour < 12:
		p.hour += 12
	case p.am && p.hour == 12:
		p.hour = 0
	}
	if p.hour == 24 || !p.timed {
		p.lenient = true
	}
	t := time.Date(p.year, time.Month(p.month), p.day, p.hour, p.min, p.sec, 0, time.FixedZone("", p.offset))
	if t.Year() > 9999 || t.Year() < 1 || time.Date(p.year, time.Month(p.month), p.day, 0, 0, 0, 0, time.UTC).Day() != p.day {
		return time.Time{}, false
	}
	return t, true
}

var weekdays = [...]string{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}

var months = [...]string{
	"january", "february", "march", "april", "may", "june",
	"july", "august", "september", "october", "november", "december",
}

var monthsElsewhere = map[string]int{
	"januar": 1, "jän": 1, "jänner": 1, "februar": 2, "mär": 3, "märz": 3, "mrz": 3, "mai": 5, "juni": 6, "juli": 7,
	"okt": 10, "oktober": 10, "dez": 12, "dezember": 12,
}

// zones gives the offsets, in minutes, of RFC 822 section 5.1 and of names that
// mail servers use and that mean one thing (or nearly always one).
var zones = map[string]int{
	"ut": 0, "utc": 0, "gmt": 0, "z": 0, "wet": 0, "uct": 0, "zulu": 0,
	"est": -300, "edt": -240, "cst": -360, "cdt": -300, "mst": -420, "mdt": -360, "pst": -480, "pdt": -420,
	"akst": -540, "akdt": -480, "hst": -600, "ast": -240, "adt": -180, "nst": -210, "ndt": -150, "brt": -180, "art": -180,
	"west": 60, "cet": 60, "met": 60, "mez": 60, "mewt": 60, "bst": 60, "cest": 120, "mest": 120, "mesz": 120, "met dst": 120,
	"eet": 120, "sast": 120, "eest": 180, "msk": 180, "msd": 240, "ist": 330, "ict": 420, "wib": 420, "hkt": 480, "sgt": 480,
	"awst": 480, "jst": 540, "kst": 540, "acst": 570, "aest": 600, "acdt": 630, "aedt": 660, "nzst": 720, "nzdt": 780,
}
