package indexer

import "fmt"

// Numbers are indexed as the prefixes of their fixed-width hexadecimal form:
// 0x1f in four digits is the terms "0", "00", "001" and "001f". A range of
// numbers is then the union of few terms, however many numbers it holds: at
// most 15 on either side at each digit. Times are counted in quarters of an hour:
// days begin at one in every time zone that is in use.
const (
	timeDigits = 7 // quarters of an hour since the year 1: some 7600 years
	sizeDigits = 9 // octets: up to 64 GiB
)

// digits returns the terms of v; v is capped to what width digits hold.
func digits(v uint64, width int) []string {
	s := fmt.Sprintf("%0*x", width, min(v, maxDigits(width)))
	out := make([]string, width)
	for i := range out {
		out[i] = s[:i+1]
	}
	return out
}

func maxDigits(width int) uint64 { return 1<<(4*width) - 1 }

// cover returns the fewest terms that together stand for lo <= v <= hi.
func cover(lo, hi uint64, width int) []string {
	hi = min(hi, maxDigits(width))
	var out []string
	for lo <= hi {
		// The widest aligned block that begins at lo and does not pass hi.
		n := 0
		for n < width-1 {
			block := uint64(1) << (4 * (n + 1))
			if lo%block != 0 || lo+block-1 > hi {
				break
			}
			n++
		}
		out = append(out, fmt.Sprintf("%0*x", width-n, lo>>(4*n)))
		lo += 1 << (4 * n)
	}
	return out
}
