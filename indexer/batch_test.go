package indexer

import (
	"math"
	"testing"
)

func TestBatchBytes(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int64]int{
		math.MaxInt64: 4 << 20,
		1 << 30:       4 << 20,
		512 << 20:     2 << 20,
		384 << 20:     3 << 19,
		1:             256 << 10,
	} {
		if got := batchBytes(limit); got != want {
			t.Errorf("with %d octets of memory, a batch holds %d, want %d", limit, got, want)
		}
	}
}
