package indexer

import (
	"context"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/mailkeep/mailkeep/indexer/query"
	"github.com/mailkeep/mailkeep/mail"
)

// A reading is how evaluation takes a document of which not all is known.
type reading uint8

const (
	asIndexed reading = iota // what could not be read is not there
	possible                 // what could not be read may be what is asked for
	certain                  // ... may be anything but what is asked for
)

// An evaluator finds the documents of a query in a snapshot. Sets that it
// returns belong to the caller.
type evaluator struct {
	snap     *snapshot
	warnings []mail.Warning
	leaves   map[string]*roaring.Bitmap // by canonical form; not to be changed
	every    *roaring.Bitmap            // all documents, once needed
}

func newEvaluator(s *snapshot) *evaluator {
	return &evaluator{snap: s, leaves: map[string]*roaring.Bitmap{}}
}

// all returns all documents; not to be changed.
func (e *evaluator) all(ctx context.Context) (*roaring.Bitmap, error) {
	var err error
	if e.every == nil {
		e.every, err = e.snap.all(ctx)
	}
	return e.every, err
}

// find returns the documents that n matches. A node that asks for nothing,
// such as a word without letters, gives nil.
func (e *evaluator) find(ctx context.Context, n query.Node, as reading) (*roaring.Bitmap, error) {
	switch n := n.(type) {
	case query.And:
		return e.combine(ctx, n, as, (*roaring.Bitmap).And)
	case query.Or:
		return e.either(ctx, n, as)
	case query.Not:
		return e.without(ctx, n.Node, as)
	}
	return e.readLeaf(ctx, n, as)
}

// readLeaf is find of a node that is looked up in the index at once.
func (e *evaluator) readLeaf(ctx context.Context, n query.Node, as reading) (*roaring.Bitmap, error) {
	found, err := e.leaf(ctx, n)
	if found == nil || err != nil {
		return nil, err
	}
	found = found.Clone()
	if as == asIndexed {
		return found, nil
	}
	unknown, err := e.snap.any(ctx, fieldStatus, unknownTo(n))
	if err != nil {
		return nil, err
	}
	if as == possible {
		found.Or(unknown)
	} else {
		found.AndNot(unknown)
	}
	return found, nil
}

func (e *evaluator) combine(ctx context.Context, kids []query.Node, as reading, op func(a, b *roaring.Bitmap)) (*roaring.Bitmap, error) {
	var out *roaring.Bitmap
	for _, k := range kids {
		docs, err := e.find(ctx, k, as)
		switch {
		case err != nil:
			return nil, err
		case docs == nil:
		case out == nil:
			out = docs
		default:
			op(out, docs)
		}
	}
	return out, nil
}

func (e *evaluator) without(ctx context.Context, n query.Node, as reading) (*roaring.Bitmap, error) {
	opposite := map[reading]reading{asIndexed: asIndexed, possible: certain, certain: possible}
	docs, err := e.find(ctx, n, opposite[as])
	if docs == nil || err != nil {
		return nil, err
	}
	all, err := e.all(ctx)
	if err != nil {
		return nil, err
	}
	return roaring.AndNot(all, docs), nil
}

// unknownTo returns the statuses of the documents of which n cannot be told.
func unknownTo(n query.Node) []string {
	switch n := n.(type) {
	case query.Or:
		return unknownTo(n[0])
	case query.Size, query.Records:
		return nil
	case query.Date:
		if n.Name == "sealed" {
			return nil
		}
	case query.Is:
		if n.What == "partial" || n.What == "unreadable" || n.What == "duplicate" {
			return nil
		}
	case query.Has:
		return []string{statusUnread, string(mail.TextEncrypted)}
	case query.Exact:
		switch n.Name {
		case "mailbox", "class":
			return nil
		case "filetype", "hash":
			return []string{statusUnread, string(mail.TextEncrypted)}
		}
	case query.Field:
		switch n.Name {
		case "filename":
			return []string{statusUnread, string(mail.TextEncrypted)}
		case "body", "attachment":
			return anyStatus()
		}
	default:
		return anyStatus()
	}
	return []string{statusUnread}
}

// anyStatus returns all terms of fieldStatus.
func anyStatus() []string {
	out := []string{statusUnread}
	for _, s := range partlyStatuses() {
		out = append(out, string(s))
	}
	return out
}

// leaf returns the documents of a node without children, from the cache if it
// was asked for before.
func (e *evaluator) leaf(ctx context.Context, n query.Node) (*roaring.Bitmap, error) {
	key := query.Canonical(n)
	if docs, ok := e.leaves[key]; ok {
		return docs, nil
	}
	docs, err := e.search(ctx, n)
	if err != nil {
		return nil, err
	}
	if docs == nil {
		e.warnings = append(e.warnings, mail.Warning{Text: key + " has no letters or digits and was passed over"})
	}
	e.leaves[key] = docs
	return docs, nil
}

// search returns the documents of a leaf, or nil if nothing of it is a word.
func (e *evaluator) search(ctx context.Context, n query.Node) (*roaring.Bitmap, error) {
	switch n := n.(type) {
	case query.Has:
		return e.snap.term(ctx, fieldHas, n.What)
	case query.Is:
		return e.is(ctx, n)
	case query.Date:
		return e.date(ctx, n)
	case query.Size:
		if n.Name == "larger" {
			return e.between(ctx, fieldSize, uint64(n.Octets)+1, maxDigits(sizeDigits), sizeDigits)
		}
		return e.between(ctx, fieldSize, 0, uint64(n.Octets), sizeDigits)
	case query.Exact:
		return e.exact(ctx, n)
	case query.Or: // of values of one field; see lists
		return e.snap.any(ctx, exactFields[n[0].(query.Exact).Name], values(n))
	case query.Records:
		return e.records(ctx, n.Seqs)
	case query.Field:
		return e.field(ctx, n)
	}
	return e.text(ctx, textFields(""), n)
}

func (e *evaluator) is(ctx context.Context, n query.Is) (*roaring.Bitmap, error) {
	switch n.What {
	case "partial":
		return e.snap.any(ctx, fieldStatus, anyStatus())
	case "unreadable":
		return e.snap.term(ctx, fieldStatus, statusUnread)
	}
	return e.snap.term(ctx, fieldIs, n.What)
}

func (e *evaluator) date(ctx context.Context, d query.Date) (*roaring.Bitmap, error) {
	field := map[string]string{"received": fieldReceived, "sealed": fieldSealed}[d.Name]
	if field == "" {
		field = fieldDate
	}
	lo, hi := uint64(0), maxDigits(timeDigits)
	if !d.From.IsZero() {
		lo = quarterOf(d.From)
	}
	if !d.To.IsZero() {
		hi = quarterOf(d.To)
	}
	return e.between(ctx, field, lo, hi, timeDigits)
}

// between returns the documents whose number v in the field is lo <= v < hi, or
// without upper bound if hi is the most that fits.
func (e *evaluator) between(ctx context.Context, field string, lo, hi uint64, width int) (*roaring.Bitmap, error) {
	if most := maxDigits(width); hi < most {
		if hi <= lo {
			return roaring.New(), nil
		}
		hi--
	}
	return e.snap.any(ctx, field, cover(lo, hi, width))
}

// records returns the documents of the records at the positions, as far as
// they are in the snapshot.
func (e *evaluator) records(ctx context.Context, seqs []uint64) (*roaring.Bitmap, error) {
	out := roaring.New()
	for i, seq := range seqs {
		if err := poll(ctx, i); err != nil {
			return nil, err
		}
		id, err := e.snap.r.InternalID(docID(seq))
		if err != nil {
			return nil, err
		}
		if id != nil {
			out.Add(uint32(id.Value()))
		}
	}
	return out, nil
}

// text returns the documents that have a word, phrase or the like in any of the
// fields of words, or nil if nothing of it is a word.
func (e *evaluator) text(ctx context.Context, fields []string, n query.Node) (*roaring.Bitmap, error) {
	toks := queryTokens(n)
	if len(toks) == 0 {
		return nil, nil
	}
	out := roaring.New()
	for _, f := range fields {
		docs, err := e.inField(ctx, f, n, toks)
		if err != nil {
			return nil, err
		}
		out.Or(docs)
	}
	return out, nil
}

func (e *evaluator) inField(ctx context.Context, field string, n query.Node, toks []queryToken) (*roaring.Bitmap, error) {
	slots, found, err := e.snap.slots(ctx, field, toks)
	if len(toks) == 1 || err != nil || found.IsEmpty() {
		return found, err
	}
	if near, ok := n.(query.Near); ok {
		return e.snap.narrow(ctx, field, slots, found, func(doc uint32) (bool, error) { return together(slots, doc, near.Distance) })
	}
	return e.snap.narrow(ctx, field, slots, found, func(doc uint32) (bool, error) { return lineUp(slots, doc) })
}
