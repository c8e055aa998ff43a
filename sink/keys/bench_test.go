package keys_test

import (
	"testing"

	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/sink/keys"
)

func BenchmarkDeriveLeafSequential(b *testing.B) { deriveLeaves(b, 1) }
func BenchmarkDeriveLeafCold(b *testing.B)       { deriveLeaves(b, 40503) } // far apart, in no order

func deriveLeaves(b *testing.B, step uint32) {
	tree := keys.TreeOf(rootSecret(0))
	b.ReportAllocs()
	for i := uint32(0); b.Loop(); i = (i + step) % keys.Leaves {
		if !tree.DeriveLeaf(i) {
			b.Fatal("erased")
		}
	}
}

func BenchmarkKeySequential(b *testing.B) { deriveKeys(b, keys.TreeOf(rootSecret(0)), 1) }
func BenchmarkKeyCold(b *testing.B)       { deriveKeys(b, keys.TreeOf(rootSecret(0)), 40503) }

// BenchmarkKeyPunctured: of a segment that has lost a thousand records.
func BenchmarkKeyPunctured(b *testing.B) {
	tree := keys.TreeOf(rootSecret(0))
	for i := range uint32(1000) {
		if err := tree.Puncture(i * 64); err != nil {
			b.Fatal(err)
		}
	}
	deriveKeys(b, tree, 2)
}

func deriveKeys(b *testing.B, tree *keys.Tree, step uint32) {
	b.ReportAllocs()
	for i := uint32(1); b.Loop(); i = (i + step) % keys.Leaves {
		if _, err := tree.Key(i); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSealOpen is what a record of 20 KB costs: derive its key, seal, open.
func BenchmarkSealOpen(b *testing.B) {
	tree := keys.TreeOf(rootSecret(0))
	plain, sealed := make([]byte, 20_000), make([]byte, 0, 20_016)
	nonce := make([]byte, 12)
	b.SetBytes(int64(len(plain)))
	b.ReportAllocs()
	for i := uint32(0); b.Loop(); i = (i + 1) % keys.Leaves {
		k, err := tree.Key(i)
		if err != nil {
			b.Fatal(err)
		}
		aead, err := k.AEAD()
		if err != nil {
			b.Fatal(err)
		}
		sealed = aead.Seal(sealed[:0], nonce, plain, nil)
		if _, err := aead.Open(plain[:0], nonce, sealed, nil); err != nil {
			b.Fatal(err)
		}
		k.Wipe()
	}
}

// BenchmarkPuncture is erasing a hundred records of a segment, without the disk.
func BenchmarkPuncture(b *testing.B) {
	indices := make([]uint32, 100)
	for i := range indices {
		indices[i] = uint32(i) * 653
	}
	b.ReportAllocs()
	for b.Loop() {
		tree := keys.TreeOf(rootSecret(0))
		if err := tree.Puncture(indices...); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWrapUnwrapFile(b *testing.B)   { wrapUnwrap(b, kekFile(b, durabletest.New())) }
func BenchmarkWrapUnwrapMaster(b *testing.B) { wrapUnwrap(b, master(b, 1)) }

func wrapUnwrap(b *testing.B, w keys.Wrapper) {
	e := newEpoch(b, w, group, 0)
	plain, ctx := make([]byte, 75), b.Context()
	b.ReportAllocs()
	for b.Loop() {
		box, err := w.Wrap(ctx, e, plain, nil)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := w.Unwrap(ctx, e, box, nil); err != nil {
			b.Fatal(err)
		}
	}
}
