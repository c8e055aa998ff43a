package indexer

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/mailkeep/mailkeep/indexer/query"
	"github.com/mailkeep/mailkeep/mail"
)

// maxGrouped is how many hits are grouped at most; each takes 48 octets meanwhile.
const maxGrouped = 1 << 20

// A member is a hit and the key of its group: the first octets of the key of
// copies, or 0 and the position that begins the thread. One without a key is alone
// under its own position.
type member struct {
	key [hashSize]byte
	rank
}

func positionKey(seq uint64) (key [hashSize]byte) {
	binary.BigEndian.PutUint64(key[hashSize-8:], seq)
	return key
}

// fillGroups puts the newest hit of each group into a, with how many there are.
func (x *Index) fillGroups(ctx context.Context, a *mail.SearchAnswer, all []asked, w wantedPage) error {
	if a.Total > maxGrouped {
		return mail.WithHint(mail.Errorf(mail.Invalid, "%d hits are too many to be grouped", a.Total), "narrow the search, for example with during: or mailbox:")
	}
	members, err := x.members(ctx, all, w.req.Group)
	if err != nil {
		return err
	}
	heads := headsOf(members)
	a.Groups = uint64(len(heads))
	slices.SortFunc(heads, func(a, b head) int { return b.compare(a.rank) })
	if w.after != "" {
		after, err := rankOf(w.after)
		if err != nil {
			return err
		}
		n, _ := slices.BinarySearchFunc(heads, after, func(h head, r rank) int {
			return cmp.Or(r.compare(h.rank), -1) // what is at r is on the page before
		})
		heads = heads[n:]
	}
	if w.limit == 0 {
		return nil
	}
	if len(heads) > w.limit {
		heads = heads[:w.limit]
		a.Next = heads[w.limit-1].rank.key()
	}
	return x.readHeads(ctx, a, all, heads, w.req.Group)
}

// members returns all hits with the keys of their groups.
func (x *Index) members(ctx context.Context, all []asked, group string) ([]member, error) {
	var out []member
	for _, s := range all {
		if s.found == nil || s.found.Tally().Total == 0 {
			continue
		}
		var err error
		if out, err = s.found.Members(ctx, out); err != nil {
			return nil, halfWay(err)
		}
	}
	if group != mail.GroupThread {
		return out, nil
	}
	return out, x.intoThreads(ctx, out)
}

// intoThreads replaces the keys by those of threads.
func (x *Index) intoThreads(ctx context.Context, all []member) error {
	const some = 4096 // in one reading, which keeps writers waiting
	seqs := make([]uint64, 0, some)
	for part := range slices.Chunk(all, some) {
		if err := ctx.Err(); err != nil {
			return err
		}
		seqs = seqs[:0]
		for _, m := range part {
			seqs = append(seqs, m.seq)
		}
		roots, err := x.threads.Roots(seqs)
		if err != nil {
			return halfWay(err)
		}
		for i := range part {
			part[i].key = positionKey(roots[i])
		}
	}
	return nil
}

// A head is the newest hit of a group.
type head struct {
	member
	members uint64
}

// headsOf orders members by group and counts each.
func headsOf(members []member) []head {
	slices.SortFunc(members, func(a, b member) int {
		return cmp.Or(slices.Compare(a.key[:], b.key[:]), b.compare(a.rank))
	})
	var out []head
	for i, m := range members {
		if i == 0 || members[i-1].key != m.key {
			out = append(out, head{member: m})
		}
		out[len(out)-1].members++
	}
	return out
}

// readHeads reads the hits that stand for groups.
func (x *Index) readHeads(ctx context.Context, a *mail.SearchAnswer, all []asked, heads []head, group string) error {
	keys := make([]hitKey, len(heads))
	for i, h := range heads {
		keys[i] = hitKey{h.rank.key(), shardOf(all, h.seq)}
	}
	var err error
	if a.Hits, err = read(ctx, all, keys); err != nil {
		return err
	}
	for i, h := range heads {
		a.Hits[i].After = keys[i].key
		a.Hits[i].Group = &mail.Group{Key: x.groupKey(h.key, group), Members: h.members}
	}
	return nil
}

func (x *Index) groupKey(key [hashSize]byte, group string) string {
	seq := binary.BigEndian.Uint64(key[hashSize-8:])
	if group == mail.GroupThread || key == positionKey(seq) {
		return mail.ID{Partition: x.opts.Partition, Seq: seq}.String()
	}
	return hex.EncodeToString(key[:])
}

// shardOf returns the number of the shard that answers for a position.
func shardOf(all []asked, seq uint64) int {
	return slices.IndexFunc(all, func(s asked) bool {
		from, to := s.Range()
		return s.found != nil && seq >= from && (to == 0 || seq < to)
	})
}

// Members implements Found.
func (f *finding) Members(ctx context.Context, into []member) ([]member, error) {
	err := f.engine.sane(func() error {
		return f.snap.inSegments(ctx, f.docs, func(g segmentView, it roaring.IntPeekable) (err error) {
			into, err = f.snap.copiesIn(ctx, g, it, into)
			return err
		})
	})
	return into, err
}

// copiesIn appends the documents of one segment with the keys of their copies.
func (s *snapshot) copiesIn(ctx context.Context, g segmentView, it roaring.IntPeekable, into []member) ([]member, error) {
	order, err := s.orderOf(ctx, g)
	if err != nil {
		return nil, err
	}
	copies, err := s.ordinals(ctx, g, fieldCopy)
	if err != nil {
		return nil, err
	}
	for n := 0; it.HasNext() && it.PeekNext() < g.end(); n++ {
		if err := poll(ctx, n); err != nil {
			return nil, err
		}
		doc := it.Next() - g.offset
		m := member{rank: order.rank(doc)}
		m.key = positionKey(m.seq)
		if of := copies.Of(doc); len(of) > 0 {
			copy(m.key[:], copies.Terms[of[0]])
		}
		into = append(into, m)
	}
	return into, nil
}

// sayWhy sets why the hits could not be fully read.
func (x *Index) sayWhy(ctx context.Context, hits []mail.Hit, all []asked) error {
	for i := range hits {
		n := shardOf(all, hits[i].ID.Seq)
		if n < 0 {
			continue
		}
		var err error
		if hits[i].Partly, err = all[n].found.Statuses(ctx, hits[i].ID.Seq); err != nil {
			return halfWay(err)
		}
	}
	return nil
}

// Statuses implements Found.
func (f *finding) Statuses(ctx context.Context, seq uint64) (out []mail.TextStatus, err error) {
	err = f.engine.sane(func() error {
		doc, err := f.snap.positions(ctx, []uint64{seq})
		if err != nil {
			return err
		}
		for _, status := range partlyStatuses() {
			docs, err := f.snap.term(ctx, fieldStatus, string(status))
			if err != nil {
				return err
			}
			if docs.Intersects(doc) {
				out = append(out, status)
			}
		}
		return nil
	})
	return out, err
}

// asked returns the documents that q asks for: what matches, or what in its scope
// could not be fully read.
func (e *evaluator) asked(ctx context.Context, q *query.Query) (*roaring.Bitmap, error) {
	if !q.Partly {
		return e.matches(ctx, q, asIndexed)
	}
	scope, err := e.matches(ctx, q, possible)
	if err != nil {
		return nil, err
	}
	statuses := make([]string, 0, 6)
	for _, s := range partlyStatuses() {
		statuses = append(statuses, string(s))
	}
	docs, err := e.snap.any(ctx, fieldStatus, statuses)
	if err != nil {
		return nil, err
	}
	return roaring.And(docs, scope), nil
}
