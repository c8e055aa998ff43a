package query

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// minYear keeps the zero time free to mean an open end.
const minYear = 1000

// periods are the ways to write one, with the step to the next.
var periods = []struct {
	layout              string
	years, months, days int
}{
	{"2006-01-02", 0, 0, 1},
	{"2006-01", 0, 1, 0},
	{"2006", 1, 0, 0},
}

const dayLayout = "2006-01-02"

// period reads a day, month or year, or today or yesterday, which are written
// as days. It returns the period as it is written from now on.
func (p *parser) period(value string) (spec string, from, to time.Time, ok bool) {
	if back, relative := map[string]int{"today": 0, "yesterday": 1}[strings.ToLower(value)]; relative && !p.now.IsZero() {
		value = p.today().AddDate(0, 0, -back).Format(dayLayout)
	}
	for _, step := range periods {
		from, err := time.ParseInLocation(step.layout, value, p.zone)
		if err == nil && from.Year() >= minYear {
			return value, from, from.AddDate(step.years, step.months, step.days), true
		}
	}
	return "", time.Time{}, time.Time{}, false
}

// today returns the beginning of today.
func (p *parser) today() time.Time {
	y, m, d := p.now.In(p.zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, p.zone)
}

func dateValue(p *parser, pos int, name, value string) (Node, error) {
	spec, from, to, ok := p.period(value)
	switch {
	case !ok:
		return nil, invalid(pos, "%s: takes a day 2024-01-31, a month 2024-01 or a year 2024, not %q", name, value)
	case name == "before":
		return Date{Name: name, Spec: spec, To: from}, nil
	case name == "after":
		return Date{Name: name, Spec: spec, From: from}, nil
	}
	return Date{Name: name, Spec: spec, From: from, To: to}, nil
}

// rangeValue takes a period, or two with dots between, either of which may be
// missing.
func rangeValue(p *parser, pos int, name, value string) (Node, error) {
	first, last, dots := strings.Cut(value, "..")
	if !dots {
		return dateValue(p, pos, name, value)
	}
	d := Date{Name: name}
	okFirst, okLast := first == "", last == ""
	if !okFirst {
		first, d.From, _, okFirst = p.period(first)
	}
	if !okLast {
		last, _, d.To, okLast = p.period(last)
	}
	if !okFirst || !okLast || first+last == "" {
		return nil, invalid(pos, "%s: takes a period such as 2024-01-31, 2024-01 or 2024, or a range 2024-01..2024-03, not %q", name, value)
	}
	if first != "" && last != "" && !d.From.Before(d.To) {
		return nil, invalid(pos, "%s: %q ends before it begins", name, value)
	}
	d.Spec = first + ".." + last
	return d, nil
}

var agePattern = regexp.MustCompile(`^([0-9]{1,5})([dDwWmMyY])$`)

// ageValue turns an age into the day that it began with.
func ageValue(p *parser, pos int, name, value string) (Node, error) {
	m := agePattern.FindStringSubmatch(value)
	if m == nil {
		return nil, invalid(pos, "%s: takes days, weeks, months or years such as 7d, 2w, 6m or 1y, not %q", name, value)
	}
	if p.now.IsZero() {
		return nil, invalid(pos, "%s: has no meaning where the present time is not known", name)
	}
	n, _ := strconv.Atoi(m[1])
	var day time.Time
	switch strings.ToLower(m[2]) {
	case "d":
		day = p.today().AddDate(0, 0, -n)
	case "w":
		day = p.today().AddDate(0, 0, -7*n)
	case "m":
		day = monthsBefore(p.today(), n)
	default:
		day = monthsBefore(p.today(), 12*n)
	}
	if day.Year() < minYear {
		return nil, invalid(pos, "%s: %q is too long ago", name, value)
	}
	to := map[string]string{"older_than": "before", "newer_than": "after"}[name]
	return dateValue(p, pos, to, day.Format(dayLayout))
}

// monthsBefore returns the same day n months before, or the last of that month
// where it is shorter.
func monthsBefore(t time.Time, n int) time.Time {
	y, m, d := t.Date()
	first := time.Date(y, m-time.Month(n), 1, 0, 0, 0, 0, t.Location())
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(d, last)-1)
}
