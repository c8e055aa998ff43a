package tlog_test

import (
	"context"
	"iter"
	"testing"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/ledger"
	"github.com/mailkeep/mailkeep/sink/tlog"
)

// made are leaves that nobody has written.
type made struct{}

func (made) Leaves(_ context.Context, from, until uint64) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		leaf := make([]byte, ledger.LeafSize)
		for seq := from; seq < until; seq++ {
			for i := range 8 {
				leaf[16+i] = byte(seq >> (56 - 8*i))
			}
			if !yield(leaf, nil) {
				return
			}
		}
	}
}

// rootOf computes a root with nothing but the tree.
func rootOf(b *testing.B, size uint64) mail.Digest {
	b.Helper()
	r, err := tlog.RootOf(b.Context(), made{}, size)
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// BenchmarkExtend: leaves into tiles on a disk, and a checkpoint.
func BenchmarkExtend(b *testing.B) {
	const size = 64 << 10
	root := rootOf(b, size)
	b.ReportAllocs()
	for b.Loop() {
		dir, err := durable.OpenDir(b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		l, err := tlog.Open(tlog.Options{FS: dir, Key: key(b), Trust: trust(b)})
		if err != nil {
			b.Fatal(err)
		}
		if err := l.Extend(b.Context(), made{}, size, root); err != nil {
			b.Fatal(err)
		}
		if _, err := l.Sign(b.Context()); err != nil {
			b.Fatal(err)
		}
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkTree: the same leaves hashed into the tree alone, the limit of the
// above.
func BenchmarkTree(b *testing.B) {
	const size = 64 << 10
	for b.Loop() {
		rootOf(b, size)
	}
	b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkProof: a proof from tiles on a disk, and its check.
func BenchmarkProof(b *testing.B) {
	const size = 200_000
	dir, err := durable.OpenDir(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	l, err := tlog.Open(tlog.Options{FS: dir, Key: key(b), Trust: trust(b)})
	if err != nil {
		b.Fatal(err)
	}
	if err := l.Extend(b.Context(), made{}, size, rootOf(b, size)); err != nil {
		b.Fatal(err)
	}
	c, err := l.Sign(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	v := tlog.NewView(dir, trust(b))
	n := uint64(0)
	for b.Loop() {
		n = (n + 7919) % size
		p, err := v.Inclusion(n, c)
		if err != nil {
			b.Fatal(err)
		}
		leaf, err := v.Leaf(n, c)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.Check(trust(b), leaf); err != nil {
			b.Fatal(err)
		}
	}
}
