package keys_test

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/keys"
)

// reference derives a key as docs/archive-format.md says, by the book.
func reference(t testing.TB, root [32]byte, i uint32) keys.RecordKey {
	t.Helper()
	at := root[:]
	for d := range keys.Depth {
		bit := byte(i >> (keys.Depth - 1 - d) & 1)
		sum := sha256.Sum256(append(append([]byte("mar1/ggm"), at...), bit))
		at = sum[:]
	}
	b, err := hkdf.Expand(sha256.New, at, "mar1/record", 64)
	if err != nil {
		t.Fatal(err)
	}
	return keys.RecordKey{Data: [32]byte(b), Commit: [32]byte(b[32:])}
}

func keyOf(t testing.TB, tree *keys.Tree, i uint32) keys.RecordKey {
	t.Helper()
	k, err := tree.Key(i)
	if err != nil {
		t.Fatalf("key %d: %v", i, err)
	}
	return k
}

func rootSecret(seed byte) (s [32]byte) {
	for i := range s {
		s[i] = seed + byte(i)
	}
	return s
}

// TestVector pins the derivation, by values that another implementation (Python's
// hashlib and hmac) has computed: it can never change.
func TestVector(t *testing.T) {
	t.Parallel()
	tree := keys.TreeOf(rootSecret(0))
	for i, want := range map[uint32][2]string{
		0:     {"61cc246cf77710f98d6b55f061ff9d867bd7cdadd26a8644f32ac9d73ebfb3a7", "68c03f3b095ef3b11fa34e3b317a29f74562402a671b510a8afd788f3de91341"},
		1:     {"f0150c994f1a25f678552b69f92a0f7c65fb5992fc6f9561cf34bd7ba2933d53", "8b9b0f655a49fbf48b8726f1a3ea7694a997fc9cae5b8e91c91dafef94bca562"},
		65535: {"48d2622f7f516059aa1b2378d45351488e97e1e4ce344fedc4b87ed820a7be6d", "5663561382c65e9da0b0f0611d7839582608a732edca99b905723f62acd98f97"},
	} {
		k := keyOf(t, tree, i)
		if got := [2]string{hex.EncodeToString(k.Data[:]), hex.EncodeToString(k.Commit[:])}; got != want {
			t.Errorf("key %d: %s", i, got)
		}
	}
}

// TestDerivation: whatever the order, the cache never gives a wrong key.
func TestDerivation(t *testing.T) {
	t.Parallel()
	root := rootSecret(7)
	tree := keys.TreeOf(root)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 4000 {
		i := rng.Uint32N(keys.Leaves)
		switch rng.IntN(4) {
		case 0:
			i %= 8
		case 1:
			i = keys.Leaves - 1 - i%8
		}
		if keyOf(t, tree, i) != reference(t, root, i) {
			t.Fatalf("key %d is wrong", i)
		}
	}
	for i := range uint32(200) {
		if keyOf(t, tree, i) != reference(t, root, i) {
			t.Fatalf("key %d is wrong", i)
		}
	}
	for _, i := range []uint32{keys.Leaves, math.MaxUint32} {
		if _, err := tree.Key(i); mail.KindOf(err) != mail.Invalid {
			t.Errorf("key %d: %v", i, err)
		}
		if err := tree.Puncture(0, i); mail.KindOf(err) != mail.Invalid || tree.Erased(0) {
			t.Errorf("puncture %d: %v", i, err)
		}
	}
}

// TestPunctures: of random sets, punctured in several steps, exactly those keys
// are gone, all others are what they were, and the nodes are few.
func TestPunctures(t *testing.T) {
	t.Parallel()
	root := rootSecret(3)
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 0))
		tree, gone := keys.TreeOf(root), map[uint32]bool{}
		for range 1 + rng.IntN(4) {
			set := make([]uint32, rng.IntN(40))
			span := uint32(1) << rng.IntN(keys.Depth+1)
			base := rng.Uint32N(keys.Leaves)
			for i := range set {
				set[i] = (base + rng.Uint32N(span)) % keys.Leaves
				gone[set[i]] = true
			}
			if err := tree.Puncture(set...); err != nil {
				t.Fatal(err)
			}
			tree = reread(t, tree)
		}
		checkPunctured(t, tree, root, gone, rng)
	}
}

// reread returns the tree from its octets on disk.
func reread(t testing.TB, tree *keys.Tree) *keys.Tree {
	t.Helper()
	b := tree.Encode()
	again, err := keys.ParseTree(b)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.Encode(), b) {
		t.Fatal("a node set changed when it was read and written")
	}
	return again
}

func checkPunctured(t *testing.T, tree *keys.Tree, root [32]byte, gone map[uint32]bool, rng *rand.Rand) {
	t.Helper()
	for i := range gone {
		if _, err := tree.Key(i); !errors.Is(err, keys.ErrErased) || mail.KindOf(err) != mail.NotFound || !tree.Erased(i) {
			t.Fatalf("key %d was punctured: %v", i, err)
		}
		for _, near := range []uint32{i ^ 1, i + 1, i - 1, i ^ 0x8000} {
			if near < keys.Leaves && !gone[near] && keyOf(t, tree, near) != reference(t, root, near) {
				t.Fatalf("key %d beside %d changed", near, i)
			}
		}
	}
	erased := 0
	for i := range uint32(keys.Leaves) {
		if tree.Erased(i) {
			erased++
		}
	}
	if erased != len(gone) {
		t.Fatalf("%d keys are erased, not %d", erased, len(gone))
	}
	for range 50 {
		if i := rng.Uint32N(keys.Leaves); !gone[i] && keyOf(t, tree, i) != reference(t, root, i) {
			t.Fatalf("key %d changed", i)
		}
	}
	k := float64(len(gone))
	if limit := k*math.Log2(keys.Leaves/max(k, 1)) + k + 1; float64(tree.NodeCount()) > limit {
		t.Fatalf("%d nodes for %d punctures", tree.NodeCount(), len(gone))
	}
}

// TestPunctureExtremes: the largest node set there is, and an empty one.
func TestPunctureExtremes(t *testing.T) {
	t.Parallel()
	tree := keys.TreeOf(rootSecret(9))
	var even, odd []uint32
	for i := uint32(0); i < keys.Leaves; i += 2 {
		even, odd = append(even, i), append(odd, i+1)
	}
	if err := tree.Puncture(even...); err != nil || tree.NodeCount() != keys.Leaves/2 {
		t.Fatalf("%d nodes, %v", tree.NodeCount(), err)
	}
	tree = reread(t, tree)
	if keyOf(t, tree, 40001) != reference(t, rootSecret(9), 40001) {
		t.Error("a key changed")
	}
	if err := tree.Puncture(odd...); err != nil || tree.NodeCount() != 0 {
		t.Fatalf("%d nodes, %v", tree.NodeCount(), err)
	}
	if tree = reread(t, tree); !tree.Erased(0) || !tree.Erased(keys.Leaves-1) {
		t.Error("an empty tree has keys")
	}
}

func TestNodeSetsRefused(t *testing.T) {
	t.Parallel()
	tree := keys.TreeOf(rootSecret(1))
	if err := tree.Puncture(5); err != nil {
		t.Fatal(err)
	}
	good := tree.Encode()
	for what, change := range map[string]func([]byte) []byte{
		"cut":        func(b []byte) []byte { return b[:len(b)-1] },
		"longer":     func(b []byte) []byte { return append(b, 0) },
		"no count":   func(b []byte) []byte { return b[:3] },
		"depth":      func(b []byte) []byte { b[4] = keys.Depth + 1; return b },
		"misaligned": func(b []byte) []byte { b[4+2*35+2] ^= 1; return b },
		"overlap":    func(b []byte) []byte { copy(b[4+35:], b[4:4+35]); return b },
		"shuffled": func(b []byte) []byte {
			first := bytes.Clone(b[4 : 4+35])
			copy(b[4:], b[4+35:4+70])
			copy(b[4+35:], first)
			return b
		},
		"too many": func(b []byte) []byte { b[0] = 0xff; return b },
	} {
		if _, err := keys.ParseTree(change(bytes.Clone(good))); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
}

// TestManyGoroutines derives and punctures at once; the race detector watches.
func TestManyGoroutines(t *testing.T) {
	t.Parallel()
	root := rootSecret(5)
	tree := keys.TreeOf(root)
	var group sync.WaitGroup
	for g := range uint64(4) {
		group.Go(func() {
			rng := rand.New(rand.NewPCG(g, 1))
			for range 300 {
				i := 1000 + rng.Uint32N(1000)
				if k, err := tree.Key(i); err != nil || k != reference(t, root, i) {
					t.Errorf("key %d: %v", i, err)
				}
			}
		})
	}
	group.Go(func() {
		for i := range uint32(100) {
			if err := tree.Puncture(i); err != nil {
				t.Error(err)
			}
		}
	})
	group.Wait()
	if !tree.Erased(99) || tree.Erased(100) {
		t.Error("the punctures are wrong")
	}
	tree.Wipe()
	if !tree.Erased(1500) {
		t.Error("a wiped tree has keys")
	}
}
