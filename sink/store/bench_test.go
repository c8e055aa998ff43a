package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/internal/lab"
	"github.com/mailkeep/mailkeep/sink/store"
)

// BenchmarkUpload stores, reads back and notes segments of 16 MiB.
func BenchmarkUpload(b *testing.B) {
	s := newBucket(b, lab.StartGateway(b), "bench")
	segment := randomBytes(16 << 20)
	b.SetBytes(int64(len(segment)))
	n := 0
	for b.Loop() {
		fsys := durabletest.New()
		putSegments(b, fsys, [][]byte{segment})
		o := options(fsys, s, &journal{})
		o.Prefix = fmt.Sprintf("run%d/", n)
		n++
		if err := store.NewSpool(o).Pass(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPut stores small objects with retention, each compared with what HEAD
// tells.
func BenchmarkPut(b *testing.B) {
	s := newBucket(b, lab.StartGateway(b), "bench")
	small := randomBytes(20 << 10)
	r := store.Retention{Mode: store.Compliance, Until: in(time.Hour)}
	n := 0
	for b.Loop() {
		put(b, s, fmt.Sprintf("small/%d", n), small, r)
		n++
	}
}
