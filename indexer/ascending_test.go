package indexer

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestAscending(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(9, 9))
	for n := range 300 {
		v := make([]uint64, n)
		base, span := r.Uint64N(math.MaxUint64/2), uint64(1)<<r.IntN(62)
		for i := range v {
			v[i] = base + r.Uint64N(span)
		}
		if n%2 == 0 { // no number twice
			for i, p := range r.Perm(n) {
				v[i] = base + uint64(p)*(1+span%64)
			}
		}
		want := slices.Sorted(slices.Values(v))
		if ascending(v); !slices.Equal(v, want) {
			t.Fatalf("%d numbers within %d: %d, want %d", n, span, v, want)
		}
	}
	v := []uint64{math.MaxUint64, 0, math.MaxUint64 - 1}
	if ascending(v); !slices.IsSorted(v) {
		t.Errorf("%d", v)
	}
}
