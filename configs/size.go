package configs

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A Size is a number of octets, written as a whole or decimal number and a
// unit: B, kB, MB, GB, TB (powers of 1000), KiB, MiB, GiB, TiB (powers of
// 1024). Case does not matter and the B may be left out: "500k" is 500,000,
// "64MiB" and "64mi" are 67,108,864. A number alone counts octets.
type Size int64

// sizeUnits are in the order in which String tries them.
var sizeUnits = []struct {
	name   string
	octets int64
}{
	{"TiB", 1 << 40}, {"TB", 1e12},
	{"GiB", 1 << 30}, {"GB", 1e9},
	{"MiB", 1 << 20}, {"MB", 1e6},
	{"KiB", 1 << 10}, {"kB", 1e3},
	{"B", 1},
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Size) UnmarshalText(text []byte) error {
	in := strings.TrimSpace(string(text))
	digits := strings.TrimRight(in, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	unit, ok := unitOf(strings.TrimSpace(in[len(digits):]))
	n, err := parseOctets(digits, unit)
	if !ok || err != nil {
		return fmt.Errorf("%q is not a size such as 500k, 64MiB or 1GB", clip(in))
	}
	*s = Size(n)
	return nil
}

// unitOf returns the octets of a unit; "" is one octet.
func unitOf(name string) (int64, bool) {
	if name == "" {
		return 1, true
	}
	for _, u := range sizeUnits {
		if strings.EqualFold(name, u.name) || strings.EqualFold(name+"B", u.name) {
			return u.octets, true
		}
	}
	return 0, false
}

// parseOctets keeps whole numbers exact and lets fractions round to an octet.
func parseOctets(digits string, unit int64) (int64, error) {
	if n, err := strconv.ParseUint(digits, 10, 63); err == nil {
		if n > uint64(math.MaxInt64/max(unit, 1)) {
			return 0, strconv.ErrRange
		}
		return int64(n) * unit, nil
	}
	if strings.Trim(digits, "0123456789.") != "" {
		return 0, strconv.ErrSyntax
	}
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil || f*float64(unit) >= 1<<62 {
		return 0, strconv.ErrRange
	}
	return int64(math.Round(f * float64(unit))), nil
}

// String returns the form in the largest unit that divides s, which
// UnmarshalText reads to the same value: "256MiB", "500kB", "17B".
func (s Size) String() string {
	if s == 0 {
		return "0"
	}
	for _, u := range sizeUnits {
		if int64(s)%u.octets == 0 {
			return strconv.FormatInt(int64(s)/u.octets, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) // not reached: one octet divides every size
}

// MarshalText implements encoding.TextMarshaler in the form of String.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
