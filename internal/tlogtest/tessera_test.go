package tlogtest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
)

const (
	archive = "../../sink/tlog/testdata/archive"
	dir     = archive + "/tlog/0000"
)

func verifier(t *testing.T) note.Verifier {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(archive, "checkpoint.vkey"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// leaves hashes the entries of a bundle.
func leaves(b []byte) ([][]byte, error) {
	var bundle api.EntryBundle
	if err := bundle.UnmarshalText(b); err != nil {
		return nil, err
	}
	var out [][]byte
	for _, e := range bundle.Entries {
		out = append(out, rfc6962.DefaultHasher.HashLeaf(e))
	}
	return out, nil
}

// damaged is a log one of whose files has a bit flipped.
type damaged struct {
	client.FileFetcher
	tile, bundle bool
}

func (d damaged) ReadTile(ctx context.Context, l, i uint64, p uint8) ([]byte, error) {
	b, err := d.FileFetcher.ReadTile(ctx, l, i, p)
	if err == nil && d.tile {
		b[40]++
	}
	return b, err
}

func (d damaged) ReadEntryBundle(ctx context.Context, i uint64, p uint8) ([]byte, error) {
	b, err := d.FileFetcher.ReadEntryBundle(ctx, i, p)
	if err == nil && d.bundle {
		b[40]++
	}
	return b, err
}

// TestFsck: Tessera takes our log, and none that is damaged.
func TestFsck(t *testing.T) {
	v := verifier(t)
	log := client.FileFetcher{Root: dir}
	for name, tc := range map[string]struct {
		log  fsck.Fetcher
		good bool
	}{
		"ours":             {log, true},
		"a tile damaged":   {damaged{FileFetcher: log, tile: true}, false},
		"an entry damaged": {damaged{FileFetcher: log, bundle: true}, false},
	} {
		err := fsck.New(v.Name(), v, tc.log, leaves, fsck.Opts{N: 2}).Check(t.Context())
		if (err == nil) != tc.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFsckLarge: a log with tiles of three levels and leaves of our size, which
// the tests of sink/tlog write.
func TestFsckLarge(t *testing.T) {
	large := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "./sink/tlog", "-run", "^TestLargeLog$", "-large", large)
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	v := verifier(t)
	if err := fsck.New(v.Name(), v, client.FileFetcher{Root: large}, leaves, fsck.Opts{N: 2}).Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestProofs: every record, proved by Tessera from our tiles.
func TestProofs(t *testing.T) {
	v := verifier(t)
	log := client.FileFetcher{Root: dir}
	cp, _, _, err := client.FetchCheckpoint(t.Context(), log.ReadCheckpoint, v, v.Name())
	if err != nil {
		t.Fatal(err)
	}
	b, err := client.NewProofBuilder(t.Context(), cp.Size, log.ReadTile)
	if err != nil {
		t.Fatal(err)
	}
	for index := range cp.Size {
		hashes, err := client.FetchLeafHashes(t.Context(), log.ReadTile, index, 1, cp.Size)
		if err != nil {
			t.Fatal(err)
		}
		way, err := b.InclusionProof(t.Context(), index)
		if err != nil {
			t.Fatal(err)
		}
		if err := proof.VerifyInclusion(rfc6962.DefaultHasher, index, cp.Size, hashes[0], way, cp.Hash); err != nil {
			t.Errorf("record %d: %v", index, err)
		}
	}
}
