package indexer

import (
	"context"
	"fmt"
	"strings"

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
		return e.combine(ctx, n, as, (*roaring.Bitmap).Or)
	case query.Not:
		return e.without(ctx, n.Node, as)
	}
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
	partly := []string{statusUnread}
	switch n := n.(type) {
	case query.Size:
		return nil
	case query.Date:
		return partly
	case query.Has:
		return append(partly, string(mail.TextEncrypted))
	case query.Field:
		switch n.Name {
		case "mailbox":
			return nil
		case "filename":
			return append(partly, string(mail.TextEncrypted))
		}
		return partly
	}
	for _, s := range partlyStatuses() {
		partly = append(partly, string(s))
	}
	return partly
}

// leaf returns the documents of a node without children, from the cache if it
// was asked for before.
func (e *evaluator) leaf(ctx context.Context, n query.Node) (*roaring.Bitmap, error) {
	key := (&query.Query{Root: n}).String()
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

func (e *evaluator) search(ctx context.Context, n query.Node) (*roaring.Bitmap, error) {
	switch n := n.(type) {
	case query.Has:
		return e.snap.term(ctx, fieldHas, n.What)
	case query.Date:
		lo, hi := days(n)
		return e.between(ctx, fieldDay, lo, hi, dayDigits)
	case query.Size:
		if n.Name == "larger" {
			return e.between(ctx, fieldSize, uint64(n.Octets)+1, maxDigits(sizeDigits), sizeDigits)
		}
		return e.between(ctx, fieldSize, 0, uint64(n.Octets), sizeDigits)
	case query.Field:
		return e.field(ctx, n)
	}
	return e.text(ctx, fieldText, n)
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

// days returns the days from lo to before hi that d means.
func days(d query.Date) (lo, hi uint64) {
	hi = maxDigits(dayDigits)
	if !d.From.IsZero() {
		lo = dayOf(d.From)
	}
	if !d.To.IsZero() || d.Name == "before" {
		hi = dayOf(d.To)
	}
	return lo, hi
}

func (e *evaluator) field(ctx context.Context, f query.Field) (*roaring.Bitmap, error) {
	whole, prefix := literal(f.Node)
	switch {
	case f.Name == "mailbox":
		return e.snap.term(ctx, fieldMailbox, strings.ToLower(whole))
	case strings.Contains(whole, "@") && !strings.Contains(whole, " ") && f.Name != "subject" && f.Name != "filename":
		return e.address(ctx, f.Name+addrSuffix, canonicalAddress(whole), prefix)
	}
	return e.text(ctx, f.Name, f.Node)
}

func (e *evaluator) address(ctx context.Context, field, addr string, prefix bool) (*roaring.Bitmap, error) {
	if !prefix {
		return e.snap.term(ctx, field, addr)
	}
	terms, err := e.snap.expand(ctx, field, addr)
	if err != nil {
		return nil, err
	}
	return e.snap.any(ctx, field, terms)
}

// text returns the documents that have a word, phrase or prefix in a field of
// words, or nil if nothing of it is a word.
func (e *evaluator) text(ctx context.Context, field string, n query.Node) (*roaring.Bitmap, error) {
	toks := queryTokens(literal(n))
	if len(toks) == 0 {
		return nil, nil
	}
	return e.snap.tokens(ctx, field, toks)
}

// literal returns the text of a word, phrase or prefix, and whether it is a
// prefix.
func literal(n query.Node) (text string, prefix bool) {
	switch n := n.(type) {
	case query.Word:
		return n.Text, false
	case query.Phrase:
		return strings.Join(n.Words, " "), false
	case query.Prefix:
		return n.Text, true
	}
	panic(fmt.Sprintf("internal error: %T is not text", n))
}
