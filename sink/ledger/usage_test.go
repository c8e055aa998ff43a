package ledger_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

func TestUsage(t *testing.T) {
	dir := t.TempDir()
	fsys, err := durable.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	l := open(t, fsys, options(t))
	for i := range 12 {
		appendOK(t, l, message(t, text(uint64(i), 40<<10)))
		segments, octets, err := l.Usage()
		if err != nil || segments != countFiles(t, dir) || octets != sizeOf(t, dir) {
			t.Errorf("%d segments, %d octets, %v; there are %d of %d", segments, octets, err, countFiles(t, dir), sizeOf(t, dir))
		}
	}
	before, _, _ := l.Usage()
	if before < 2 {
		t.Errorf("%d segments: the test does not reach a second one", before)
	}
	closeOK(t, l)
	r, err := ledger.OpenReader(fsys, options(t))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n, octets, err := r.Usage(); err != nil || n != before || octets != sizeOf(t, dir) {
		t.Errorf("a reader tells %d segments, %d octets, %v", n, octets, err)
	}
}

func countFiles(t *testing.T, dir string) int {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.seg*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

func sizeOf(t *testing.T, dir string) (sum int64) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		sum += info.Size()
	}
	return sum
}
