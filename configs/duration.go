package configs

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Duration is a length of time, written as time.ParseDuration reads it, with
// whole days of 24 hours in front: "90s", "15m", "1h30m", "30d", "1d12h". A number
// alone is refused, for its unit would be a guess; "0" is allowed.
type Duration time.Duration

// maxDuration keeps sums and jitter far from overflow.
const maxDuration = Duration(10 * 365 * 24 * time.Hour)

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := parseDuration(strings.TrimSpace(string(text)))
	if err != nil {
		return fmt.Errorf("%q is not a duration such as 90s, 15m or 30d", clip(string(text)))
	}
	if v < 0 || Duration(v) > maxDuration {
		return fmt.Errorf("%q is not between 0 and %s", clip(string(text)), maxDuration)
	}
	*d = Duration(v)
	return nil
}

func parseDuration(text string) (time.Duration, error) {
	days, rest, found := strings.Cut(text, "d")
	if !found {
		return time.ParseDuration(text)
	}
	n, err := strconv.ParseUint(days, 10, 16)
	if err != nil || rest == "" {
		return time.Duration(n) * 24 * time.Hour, err
	}
	v, err := time.ParseDuration(rest)
	if err == nil && (v < 0 || rest[0] == '+') {
		err = strconv.ErrSyntax
	}
	return time.Duration(n)*24*time.Hour + v, err
}

// String returns the shortest form that UnmarshalText reads to the same value:
// "15m" and not "15m0s".
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText implements encoding.TextMarshaler in the form of String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }
