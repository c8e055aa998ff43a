package ledger_test

import (
	"crypto/sha256"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

// verifyMessages is how many messages BenchmarkVerifyAgainstSHA verifies.
const verifyMessages = 4000

// BenchmarkVerifyAgainstSHA verifies the bodies of encrypted messages of the
// reference mix, 100 MB as they are stored, then their content, and hashes the
// segments as sha256sum does: reads through a buffer of 256 KB. All are measured
// in turn, in processor time; the ratios are SHA-256 of the files, and of the same
// octets in memory, to ours.
func BenchmarkVerifyAgainstSHA(b *testing.B) {
	dir := b.TempDir()
	l := openDisk(b, dir, mailDictionary(b), true)
	raws, _ := mix(verifyMessages / 8)
	for range 8 {
		for batch := range slices.Chunk(raws, 50) {
			appendOK(b, l, entries(b, l, batch)...)
		}
	}
	closeOK(b, l)
	fsys, err := durable.OpenDir(dir)
	if err != nil {
		b.Fatal(err)
	}
	opts := sealing(b, fsys, master(b, testKey))
	names, octets := segmentNames(b, dir)
	buf := make([]byte, 256<<10)
	var files, memory, bodies, content []time.Duration
	for b.Loop() {
		files = append(files, spent(b, func() { hashFiles(b, dir, names, buf) }))
		memory = append(memory, spent(b, func() {
			for range octets / int64(len(buf)) {
				sha256.Sum256(buf)
			}
		}))
		bodies = append(bodies, spent(b, func() { verifyTo(b, fsys, opts, ledger.DepthBodies) }))
		content = append(content, spent(b, func() { verifyTo(b, fsys, opts, ledger.DepthContent) }))
	}
	speed := func(t []time.Duration) float64 { return float64(octets) / 1e6 / median(t).Seconds() }
	b.ReportMetric(speed(files), "sha256sum-MB/cpu-s")
	b.ReportMetric(speed(bodies), "bodies-MB/cpu-s")
	b.ReportMetric(speed(content), "content-MB/cpu-s")
	b.ReportMetric(speed(bodies)/speed(files), "bodies/sha256sum")
	b.ReportMetric(speed(bodies)/speed(memory), "bodies/memory")
}

func segmentNames(b *testing.B, dir string) (names []string, octets int64) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		b.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".seg") {
			continue
		}
		info, err := fs.Stat(os.DirFS(dir), e.Name())
		if err != nil {
			b.Fatal(err)
		}
		names, octets = append(names, e.Name()), octets+info.Size()
	}
	return names, octets
}

func hashFiles(b *testing.B, dir string, names []string, buf []byte) {
	for _, name := range names {
		f, err := os.DirFS(dir).Open(name)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.CopyBuffer(struct{ io.Writer }{sha256.New()}, struct{ io.Reader }{f}, buf); err != nil {
			b.Fatal(err)
		}
		closeOK(b, f)
	}
}

func verifyTo(b *testing.B, fsys durable.FS, opts ledger.Options, depth ledger.Depth) {
	rep, err := ledger.Verify(b.Context(), fsys, ledger.VerifyOptions{
		Archive: archive, Depth: depth, Keys: opts.Keys, Dictionaries: slices.Concat(opts.Dictionaries, []*ledger.Dictionary{opts.Dictionary}),
	})
	if err != nil || rep.Damaged > 0 || rep.Messages != verifyMessages {
		b.Fatal(rep, err)
	}
}
