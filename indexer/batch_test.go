package indexer

import (
	"math"
	"testing"
)

func TestBatchBytes(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int64]int{
		math.MaxInt64: 8 << 20,
		1 << 30:       8 << 20,
		410 << 20:     8 << 20,
		160 << 20:     4 << 20,
		1:             256 << 10,
	} {
		if got := batchBytes(limit); got != want {
			t.Errorf("with %d octets of memory, a batch holds %d, want %d", limit, got, want)
		}
	}
}
