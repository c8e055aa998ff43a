package ledger

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// A SegmentReader reads one sealed segment wherever its octets are, such as in an
// object of a store. Opening it takes one read of the end of the segment, two if
// there are more than some 8,000 records; with the offsets that it found there,
// each record takes one read, and each chunk of a large message. Its methods
// (Raw, Records, Leaves) may be called by many goroutines at once. A reference
// leads nowhere if its message is in another segment.
type SegmentReader struct {
	*view
	first uint64
	end   chain
}

// OpenSegment reads the seal of the segment that begins with the record first,
// in the size octets of r. Errors are mail.Corrupt if it is not a sealed segment
// of the ledger of the options, and mail.Temporary if it cannot be read. The
// caller closes r after the SegmentReader.
func OpenSegment(r io.ReaderAt, size int64, first uint64, opts Options) (*SegmentReader, error) {
	v := newView(nil, opts.withDefaults())
	h := &handle{
		files: v.files, first: first, refs: 1, // never let go, as it could not be opened again
		ready: make(chan struct{}), f: object{r, size}, opening: v.files.library.opening(r, first),
	}
	close(h.ready)
	v.files.open[first] = h
	_, end, err := h.sealed()
	if err != nil {
		return nil, fmt.Errorf("open a segment: %w", err)
	}
	if end.stream != v.stream {
		return nil, corrupt(sealedName(first), 0, first, fmt.Errorf("it belongs to another archive or partition: stream %x, not %x", end.stream, v.stream))
	}
	v.segs, v.size = []segment{{first: first}}, end.seq
	return &SegmentReader{view: v, first: first, end: end}, nil
}

// First returns the number of the first record of the segment, Next that behind
// its seal.
func (s *SegmentReader) First() uint64 { return s.first }

// Next returns the number behind the last record of the segment, its seal.
func (s *SegmentReader) Next() uint64 { return s.end.seq }

// Root returns the number of leaves of the Merkle tree, and its root, over all
// records of the ledger up to the end of the segment, as its seal tells.
func (s *SegmentReader) Root() (uint64, mail.Digest) {
	return s.end.tree.size, mail.Digest(s.end.tree.root())
}

// Leaf returns the leaf of a record, in one read.
func (s *SegmentReader) Leaf(ctx context.Context, seq uint64) ([]byte, error) {
	for leaf, err := range s.Leaves(ctx, seq, seq+1) {
		return leaf, err
	}
	return nil, missing(seq)
}

// Close gives up what the SegmentReader holds in memory.
func (s *SegmentReader) Close() error {
	s.view.close()
	return nil
}

// An object is the octets of a segment that is not a file of ours.
type object struct {
	io.ReaderAt
	size int64
}

func (o object) Close() error               { return nil }
func (o object) Stat() (fs.FileInfo, error) { return objectInfo{o.size}, nil }

// An objectInfo knows no more of an object than its size.
type objectInfo struct{ size int64 }

func (objectInfo) Name() string       { return "" }
func (i objectInfo) Size() int64      { return i.size }
func (objectInfo) Mode() fs.FileMode  { return 0o444 }
func (objectInfo) ModTime() time.Time { return time.Time{} }
func (objectInfo) IsDir() bool        { return false }
func (objectInfo) Sys() any           { return nil }
