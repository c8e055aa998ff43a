package readable

import (
	"bytes"
	"testing"
)

// Eight octets are looked at in one step: each octet must be judged alike at each
// place, whatever stands before it.
func TestPrintable(t *testing.T) {
	t.Parallel()
	for c := range 256 {
		for at := range 19 {
			for _, around := range []byte{' ', 'a', '~'} {
				b := bytes.Repeat([]byte{around}, 19)
				b[at] = byte(c)
				want := at
				if c >= ' ' && c <= '~' {
					want = len(b)
				}
				if got := printable(b); got != want {
					t.Fatalf("octet %#x at %d among %q: a run of %d, want %d", c, at, around, got, want)
				}
			}
		}
	}
}
