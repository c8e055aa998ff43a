package ledger

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"slices"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/keys"
)

// VerifyOptions say what to verify and whom to tell.
type VerifyOptions struct {
	// Archive and Partition name the ledger that it must be. With a zero
	// Archive the first record is believed.
	Archive   [16]byte
	Partition uint16
	// Depth is how much of each record is looked at.
	Depth Depth
	// From is the first record of the segment to begin with. The chain is taken
	// from the seal before it. It is mail.NotFound if no segment begins there.
	From uint64
	// Durable ends the verification at a position, for a ledger that is being
	// written; 0 goes to the end.
	Durable uint64
	// Pace, if set, is told of octets before they are read on, and may wait. Its
	// error ends the verification.
	Pace func(ctx context.Context, octets int64) error
	// Dictionaries and Keys are what the content of records is opened with.
	// Without Keys the content of encrypted records is not verified: Locked.
	Dictionaries []*Dictionary
	Keys         *keys.Dir
	// Progress, if set, is told how many octets of all segments are done.
	Progress func(done, total int64)
	// Found, if set, is told each finding as it is made.
	Found func(Finding)
}

// A Finding is something that is not as the format says, and where.
type Finding struct {
	Segment string // file name
	Offset  int64  // of the frame, in the file
	Seq     uint64 // of the record; of the one that is due, where it cannot be read
	Kind    string // one of the constants
	Detail  string
}

// The kinds of findings.
const (
	FoundFrame     = "frame"     // a header or body is not what was written
	FoundChain     = "chain"     // records are good but do not follow each other
	FoundContent   = "content"   // what a body holds does not match its commitment
	FoundReference = "reference" // it does not point at its message
	FoundSeal      = "seal"      // the seal is damaged or does not match the segment
	FoundMissing   = "missing"   // records or segments are not there
	FoundTail      = "tail"      // an open segment ends with something that is no record
	FoundKey       = "key"       // a key file, or what opens it, is not there
	FoundErased    = "erased"    // a key is gone, and no event tells that it was destroyed
	FoundAbandoned = "abandoned" // note: chunks of a large message that was not completed
	FoundAside     = "aside"     // note: a file that recovery has set aside
	FoundStrange   = "strange"   // note: a file that is none of the ledger's
)

// Note reports whether the finding is no damage.
func (f Finding) Note() bool {
	return f.Kind == FoundAbandoned || f.Kind == FoundAside || f.Kind == FoundStrange
}

// A Report sums up a verification.
type Report struct {
	Segments int
	Records  uint64 // good ones, bookkeeping included
	Messages uint64 // messages and references that followers see
	Octets   int64
	Locked   uint64 // records whose content was not verified: the keys are not there
	Erased   uint64 // records whose key was destroyed, as an event tells
	// Size and Root are of the Merkle tree; Root is zero if damage hides
	// leaves that it needs.
	Size    uint64
	Root    mail.Digest
	Damaged int // findings that are no notes
	Notes   int
}

// Verify reads a ledger, as deep as it is told, and compares it with everything
// that is known of it: checksums, chain, hashes, commitments, seals, tree, order,
// references. It changes nothing and needs no lock. Damage is a Finding, never
// an error; behind it the verification goes on with the next good record.
func Verify(ctx context.Context, fsys durable.FS, o VerifyOptions) (Report, error) {
	dir, err := list(fsys)
	if err != nil {
		return Report{}, err
	}
	v := newVerifier(fsys, o, dir)
	defer v.view.close()
	defer v.ahead.close()
	for _, name := range slices.Concat(dir.aside, dir.recover) {
		v.find(name, 0, 0, FoundAside, errors.New("set aside by recovery or repair"))
	}
	for _, name := range dir.strange {
		v.find(name, 0, 0, FoundStrange, errors.New("not a file of the ledger"))
	}
	segs, err := v.begin(v.view.segs)
	if err != nil {
		return v.report, err
	}
	if v.total = v.reach(segs); o.Depth == DepthStructure {
		err = v.structure(ctx, segs)
	} else {
		err = v.segments(ctx, segs)
	}
	if err != nil {
		return v.report, err
	}
	if err := v.judgeErased(ctx); err != nil {
		return v.report, fmt.Errorf("verify what was erased: %w", err)
	}
	v.report.Size = v.chain.tree.size
	if v.rooted {
		v.report.Root = mail.Digest(v.chain.tree.root())
	}
	return v.report, nil
}

func (v *verifier) segments(ctx context.Context, segs []segment) error {
	for _, seg := range segs {
		if v.opts.Durable > 0 && seg.first >= v.opts.Durable {
			break
		}
		if err := v.segment(ctx, seg); err != nil {
			return fmt.Errorf("verify %s: %w", seg.name(), err)
		}
	}
	return nil
}

// A verifier goes over all segments in order.
type verifier struct {
	opts   VerifyOptions
	view   *view // finds the targets of references
	ahead  *ahead
	chain  chain
	rooted bool // every leaf so far is in the tree
	any    bool // the stream is still to be learned
	group  group
	lost   uint64 // chunks of groups that began before this are not judged
	noSeal bool   // the seal of the segment before could not be read
	keys   keyFindings
	report Report
	done   int64
	total  int64
	paced  int64 // octets that Pace was told of

	// Of the segment at hand.
	seg     segment
	f       durable.File
	open    *opening
	w       *window
	size    int64
	off     int64
	offsets []uint64
	seqs    []uint64 // of the records at offsets
	sum     hash.Hash
	damaged bool
	ended   bool // by its seal
}

// A group is the chunks of a large message whose last one is to come.
type group struct {
	head   header
	off    int64
	sum    hash.Hash
	size   uint64
	meta   meta
	intact bool
	any    bool
}

func newVerifier(fsys durable.FS, o VerifyOptions, dir listing) *verifier {
	v := &verifier{opts: o, ahead: newAhead(o.Depth), rooted: true, any: o.Archive == [16]byte{}}
	v.view = newView(fsys, Options{Archive: o.Archive, Partition: o.Partition, Dictionaries: o.Dictionaries, Keys: o.Keys})
	v.chain = newChain(v.view.stream)
	segs := make([]segment, 0, len(dir.sealed)+1)
	for _, first := range dir.sealed {
		segs = append(segs, segment{first: first})
	}
	for _, first := range dir.open {
		if !slices.Contains(dir.sealed, first) {
			segs = append(segs, segment{first: first, open: true})
		}
	}
	slices.SortFunc(segs, func(a, b segment) int { return cmp.Compare(a.first, b.first) })
	v.view.set(segs, 0)
	return v
}

func (v *verifier) find(segment string, off int64, seq uint64, kind string, err error) {
	f := Finding{Segment: segment, Offset: off, Seq: seq, Kind: kind, Detail: err.Error()}
	if f.Note() {
		v.report.Notes++
	} else {
		v.report.Damaged++
		v.damaged = true
	}
	if v.opts.Found != nil {
		v.opts.Found(f)
	}
}

func (v *verifier) here(kind string, err error) {
	v.find(v.seg.name(), v.off, v.chain.seq, kind, err)
}

// segment verifies one file.
func (v *verifier) segment(ctx context.Context, seg segment) error {
	f, err := v.view.fs.Open(seg.name())
	if err != nil {
		return err
	}
	defer f.Close()
	defer v.ahead.leave() // it reads from f
	info, err := f.Stat()
	if err != nil {
		return err
	}
	v.seg, v.f, v.w, v.size, v.off = seg, f, newWindow(f), info.Size(), 0
	v.open = v.view.files.library.opening(f, seg.first)
	v.offsets, v.seqs, v.sum, v.damaged, v.ended = nil, nil, sha256.New(), false, false
	v.report.Segments++
	v.enter()
	for v.off < v.size && !v.ended {
		if err := ctx.Err(); err != nil {
			return err
		}
		if v.opts.Durable > 0 && v.chain.seq >= v.opts.Durable {
			return nil
		}
		if err := v.frame(ctx); err != nil {
			return err
		}
		if v.opts.Progress != nil {
			v.opts.Progress(v.done+min(v.off, v.size), v.total)
		}
		if err := v.pace(ctx); err != nil {
			return err
		}
	}
	v.leave()
	return nil
}

// paceEvery is how many octets go by between two looks at the pace.
const paceEvery = 256 << 10

// pace waits if the verification is to be slow.
func (v *verifier) pace(ctx context.Context) error {
	at := v.done + min(v.off, v.size)
	if v.ended {
		at = v.done + v.size
	}
	if v.opts.Pace == nil || at-v.paced < paceEvery && !v.ended {
		return nil
	}
	n := at - v.paced
	v.paced = at
	return v.opts.Pace(ctx, n)
}

// enter checks that the segment is the one that is due.
func (v *verifier) enter() {
	due := v.chain.seq
	if v.noSeal && v.seg.first == due+1 {
		v.lose(v.seg.first, hash32{}, false) // what is missing is the seal, which was found
		due = v.seg.first
	}
	v.noSeal = false
	if v.seg.first == due {
		v.chain.number++
		return
	}
	v.here(FoundMissing, fmt.Errorf("records %d to %d are missing before this segment", due, v.seg.first-1))
	v.damaged = false // it is not this segment that is
	v.lose(v.seg.first, hash32{}, false)
	v.chain.number = 0 // learned from the next record
}

// lose goes on behind records that cannot be read. If it is one, and the next
// record tells its leaf hash, the tree stays whole.
func (v *verifier) lose(next uint64, prev hash32, told bool) {
	if told && next == v.chain.seq+1 && v.rooted {
		v.chain.tree.add(prev)
	} else if next != v.chain.seq {
		v.rooted = false
	}
	v.chain.seq, v.chain.known = next, false
	v.group.intact, v.lost = false, next
}

// leave checks what must be so at the end of a segment.
func (v *verifier) leave() {
	v.done += v.size
	v.report.Octets += v.size
	if !v.seg.open && !v.ended {
		v.here(FoundSeal, errors.New("segment ends without its seal"))
	}
	v.abandon()
}

// frame verifies the frame at off, or looks for the next good one.
func (v *verifier) frame(ctx context.Context) error {
	e := v.ahead.at(ctx, v.f, v.open, v.size, v.off)
	if isReadError(e.fault) {
		return e.fault
	}
	if e.fault != nil {
		return v.bad(e.fault)
	}
	h := &e.head
	v.learn(h)
	if err := v.chain.check(h); err != nil {
		v.here(FoundChain, err)
		if h.stream != v.chain.stream || h.seq < v.chain.seq {
			v.off += int64(h.frameLen)
			return nil
		}
		v.lose(h.seq, h.prev, h.segment == v.chain.number)
		v.chain.number, v.chain.time = h.segment, min(v.chain.time, h.time)
	}
	if (h.typ == typeOpen) != (v.off == 0) {
		v.here(FoundChain, errors.New("segment open record is not where the segment begins"))
	}
	switch {
	case e.damage != nil:
		v.here(FoundFrame, e.damage)
		v.spoil(h)
	case !v.opts.Depth.decodes(h):
		v.skim(h)
	case e.closed != nil:
		v.shut(e)
	default:
		v.record(ctx, e)
	}
	v.advance(e)
	return nil
}

// spoil keeps a record that is damaged from being judged a second time.
func (v *verifier) spoil(h *header) {
	v.group.intact, v.lost = false, h.seq+1
	v.ended = v.ended || h.typ == typeSeal
}

// learn takes from a record what nothing else has told.
func (v *verifier) learn(h *header) {
	if v.any {
		v.any, v.chain.stream, v.view.stream = false, h.stream, h.stream
	}
	if v.chain.number == 0 {
		v.chain.number = h.segment
	}
}

// advance goes behind a frame whose header is good.
func (v *verifier) advance(e *examined) {
	h := &e.head
	if v.opts.Depth == DepthContent { // else the leaves say it all: they are in the root
		v.sum.Write(e.frame)
	}
	if h.typ != typeSeal {
		v.offsets, v.seqs = append(v.offsets, uint64(v.off)), append(v.seqs, h.seq)
	}
	v.chain.add(h, e.leaf)
	v.report.Records++
	v.off += int64(h.frameLen)
}

// bad reports a frame whose header cannot be read and finds the next one.
func (v *verifier) bad(fault error) error {
	next, ok, err := search(v.f, v.off+frameAlign, v.size, v.chain.stream, func(h *header) bool {
		return h.seq > v.chain.seq && (v.chain.number == 0 || h.segment == v.chain.number)
	})
	if err != nil {
		return err
	}
	switch {
	case ok:
		v.here(FoundFrame, fault)
		if next.head.seq > v.chain.seq+1 {
			v.here(FoundMissing, fmt.Errorf("records %d to %d cannot be found", v.chain.seq+1, next.head.seq-1))
		}
		v.lose(next.head.seq, next.head.prev, true)
		v.off = next.off
	case v.seg.open:
		v.here(FoundTail, fault)
		v.off = v.size
	default:
		v.here(FoundSeal, fault) // as nothing good is behind it
		v.off, v.ended, v.noSeal = v.size, true, true
	}
	return nil
}
