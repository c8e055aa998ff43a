package ledger

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

// scaleOctets is how large a ledger BenchmarkScale simulates, unless
// MAILKEEP_LEDGER_OCTETS says else: one of 1e12 octets takes 1.5 GB of disk.
const scaleOctets = 4 << 30

// What a segment of the simulated ledger has: records of 12 KB, as the mail of a
// business compresses to, a few of which are there and the others holes.
const (
	scaleFrame = 12 << 10
	scaleThere = 4 // at either end of each segment
)

// BenchmarkScale opens a ledger of many segments, for writing and for reading,
// verifies its structure, and reads messages at random. Its segments are sparse
// files: they have their open record, their seal with the offsets and the tree of
// all records, and some messages; between them are holes.
func BenchmarkScale(b *testing.B) {
	octets := int64(scaleOctets)
	if s := os.Getenv("MAILKEEP_LEDGER_OCTETS"); s != "" {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		octets = n
	}
	fsys, err := durable.OpenDir(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	sim := simulated{b: b, fs: fsys, chain: newChain(streamID([16]byte{}, 0))}
	for sim.octets < octets {
		sim.segment()
	}
	var opens, readers, structures []time.Duration
	var reads []scaleRead
	for b.Loop() {
		start := time.Now()
		l, err := Open(fsys, Options{})
		if err != nil {
			b.Fatal(err)
		}
		opens = append(opens, time.Since(start))
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
		start = time.Now()
		r, err := OpenReader(fsys, Options{})
		if err != nil {
			b.Fatal(err)
		}
		readers = append(readers, time.Since(start))
		reads = append(reads, sim.read(r)...)
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
		start = time.Now()
		rep, err := Verify(b.Context(), fsys, VerifyOptions{Depth: DepthStructure})
		if err != nil || rep.Damaged > 0 || rep.Records != sim.chain.seq {
			b.Fatalf("verify: %+v, %v", rep, err)
		}
		structures = append(structures, time.Since(start))
	}
	b.ReportMetric(float64(sim.segments), "segments")
	b.ReportMetric(float64(sim.chain.seq)/1e6, "million-records")
	for what, all := range map[string][]time.Duration{"open-ms": opens, "open-reader-ms": readers, "verify-structure-ms": structures} {
		slices.Sort(all)
		b.ReportMetric(float64(all[len(all)/2].Microseconds())/1e3, what)
	}
	reportReads(b, reads)
}

// A scaleRead is what a read took: by the clock, and of that on a processor.
type scaleRead struct {
	wall, cpu time.Duration
	waits     int64 // times that the thread was put off its processor, or waited for the disk
}

// reportReads tells how long reads took, what of it is ours, and how many of the
// slowest of a hundred had to wait for the machine.
func reportReads(b *testing.B, reads []scaleRead) {
	by := func(unit string, d func(scaleRead) time.Duration) {
		slices.SortFunc(reads, func(x, y scaleRead) int { return cmp.Compare(d(x), d(y)) })
		b.ReportMetric(float64(d(reads[len(reads)/2]).Microseconds()), unit+"-p50-us")
		b.ReportMetric(float64(d(reads[len(reads)*99/100]).Microseconds()), unit+"-p99-us")
	}
	by("read-cpu", func(r scaleRead) time.Duration { return r.cpu })
	by("read", func(r scaleRead) time.Duration { return r.wall })
	slowest, waited := reads[len(reads)*99/100:], 0
	for _, r := range slowest {
		if r.waits > 0 {
			waited++
		}
	}
	b.ReportMetric(100*float64(waited)/float64(len(slowest)), "%-of-slowest-waited")
}

// threadUsage is what this thread took.
func threadUsage(b *testing.B) (cpu time.Duration, waits int64) {
	var now unix.Timespec
	var u unix.Rusage
	if err := errors.Join(unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now), unix.Getrusage(unix.RUSAGE_THREAD, &u)); err != nil {
		b.Fatal(err)
	}
	return time.Duration(now.Nano()), u.Nivcsw + u.Majflt + u.Inblock
}

// A simulated ledger grows by whole segments.
type simulated struct {
	b        *testing.B
	fs       durable.FS
	chain    chain
	octets   int64
	segments int
	there    []there
}

// A record that is there.
type there struct {
	seq  uint64
	size int64
	sum  mail.Digest
}

// sparse is a segment file with holes.
type sparse struct {
	durable.File
	at int64
}

// Write implements io.Writer behind the holes.
func (s *sparse) Write(p []byte) (int, error) {
	n, err := s.WriteAt(p, s.at)
	s.at += int64(n)
	return n, err
}

// segment adds a sealed segment.
func (s *simulated) segment() {
	first := s.chain.seq
	seg, err := createSegment(s.fs, sealedName(first), first)
	if err != nil {
		s.b.Fatal(err)
	}
	f := &sparse{File: seg.f}
	seg.f = f
	s.chain.number++
	s.ok(seg.addOpen(&s.chain, openNote{Format: 1}, time.Now))
	s.messages(seg)
	s.ok(seg.flush())
	for seg.off < DefaultSegmentSize-200<<10 {
		seg.offsets = append(seg.offsets, uint64(seg.off))
		seg.off, f.at = seg.off+scaleFrame, f.at+scaleFrame
		s.chain.prev = hash32{1}
		s.chain.tree.add(s.chain.prev)
		s.chain.seq++
	}
	s.messages(seg)
	s.ok(seg.flush())
	content := seal{offsets: seg.offsets, size: s.chain.tree.size, root: s.chain.tree.root(), peaks: s.chain.tree.peaks}
	e := bookkeeping(typeSeal, []byte(`{"why":"size"}`), content.encode())
	at := seg.off
	_, err = seg.add(&s.chain, e, e.header(flagFirst|flagLast|flagCommit), time.Now)
	s.ok(err)
	seg.buf = appendTail(seg.buf, at)
	s.ok(seg.flush())
	s.ok(f.Close())
	s.octets, s.segments = s.octets+seg.off+tailSize, s.segments+1
}

// messages adds messages that are there.
func (s *simulated) messages(seg *segmentFile) {
	for range scaleThere {
		raw := fmt.Appendf(nil, "Subject: message %d\r\n\r\n", s.chain.seq)
		r := rand.New(rand.NewPCG(s.chain.seq, 1))
		for len(raw) < 20<<10 {
			raw = fmt.Appendf(raw, "Item %x costs %d and ships from %x.\r\n", r.Uint32()&0xfff, r.IntN(1000), r.Uint64())
		}
		e, err := Message(mail.Delivery{Capture: mail.Capture{Mailbox: "sales"}, Fingerprint: mail.FingerprintOf(raw)}, raw)
		s.ok(err)
		s.there = append(s.there, there{s.chain.seq, int64(len(raw)), e.digest})
		_, err = seg.add(&s.chain, e, e.header(flagFirst|flagLast|flagCommit), time.Now)
		s.ok(err)
	}
}

func (s *simulated) ok(err error) {
	if err != nil {
		s.b.Fatal(err)
	}
}

// read opens and reads messages at random, and returns how long each took.
func (s *simulated) read(r *Reader) (took []scaleRead) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	rng := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		m := s.there[rng.IntN(len(s.there))]
		cpu, waits := threadUsage(s.b)
		start := time.Now()
		raw, err := r.Raw(s.b.Context(), mail.ID{Seq: m.seq})
		s.ok(err)
		b := make([]byte, raw.Size())
		_, err = raw.ReadAt(b, 0)
		s.ok(err)
		s.ok(raw.Close())
		wall := time.Since(start)
		usage, waited := threadUsage(s.b)
		took = append(took, scaleRead{wall, usage - cpu, waited - waits})
		if mail.DigestOf(b) != m.sum {
			s.b.Fatalf("message %d has other bytes", m.seq)
		}
	}
	return took
}
