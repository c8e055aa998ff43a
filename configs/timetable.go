package configs

import (
	"cmp"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // a container image may have no zones of its own

	"github.com/netresearch/go-cron"
)

// A Timetable is a cron expression in a time zone: five fields (minute, hour,
// day of the month, month, day of the week), or @hourly, @daily, @weekly,
// @monthly, @yearly. Where both days are restricted, either may match, as
// crontab(5) has it.
//
// Where clocks go forward, a time that the day does not have comes an hour later
// by the new clock: 02:30 is 03:30, once. Where they go back, a time that the
// day has twice comes twice; a poll too many harms nobody.
type Timetable struct {
	schedule cron.Schedule
	zone     *time.Location
	text     string
}

// Next returns the first time after t, in the zone of the timetable.
func (t *Timetable) Next(after time.Time) time.Time { return t.schedule.Next(after.In(t.zone)) }

// String returns the expression and its zone: "*/15 8-18 * * MON-FRI Europe/Berlin".
func (t *Timetable) String() string { return t.text + " " + t.zone.String() }

// DefaultTimezone is the zone of a schedule that names none.
const DefaultTimezone = "UTC"

// maxSchedule bounds an expression in octets; sets of minutes are long.
const maxSchedule = 500

// parseTimetable reads an expression in the zone of the name.
func parseTimetable(text, zone string) (*Timetable, *problem) {
	loc, p := parseZone(zone)
	if p != nil {
		loc = time.UTC // the expression may be at fault too; the zone has its own fault
	}
	example := `write five fields such as "*/15 8-18 * * MON-FRI", or @hourly`
	switch {
	case len(text) > maxSchedule:
		return nil, &problem{fmt.Sprintf("is longer than %d octets", maxSchedule), example}
	case strings.Contains(text, "TZ="):
		return nil, &problem{"names a time zone inside", "name the zone in timezone"}
	case strings.HasPrefix(text, "@every"):
		return nil, &problem{"is an interval", "use interval: " + cmp.Or(strings.TrimSpace(strings.TrimPrefix(text, "@every")), "15m")}
	}
	parser, err := cron.TryNewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.DowOrDom | cron.Descriptor)
	if err != nil {
		return nil, &problem{text: err.Error()}
	}
	s, err := parser.Parse(text)
	if err != nil {
		return nil, &problem{quote(text) + " is not a schedule: " + clip(err.Error()), example}
	}
	if s.Next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return nil, &problem{quote(text) + " never comes", "no month has such a day"}
	}
	return &Timetable{schedule: s, zone: loc, text: text}, nil
}

// parseZone finds a zone by its IANA name; "" is DefaultTimezone.
func parseZone(name string) (*time.Location, *problem) {
	loc, err := time.LoadLocation(cmp.Or(name, DefaultTimezone))
	if err != nil || name == "Local" {
		return nil, &problem{quote(name) + " is not a time zone", "write a name such as Europe/Berlin or UTC"}
	}
	return loc, nil
}
