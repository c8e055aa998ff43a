package app

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/catalog"
)

// heldSegments tells which segments of a partition hold a record that is held. Once
// it has read the catalog it goes on from there, until the matters change. It is used
// by one goroutine.
type heldSegments struct {
	size    func() uint64 // of the ledger
	catalog *catalog.Catalog

	matters string // that what follows is of
	upTo    uint64 // records before it are looked at
	by      map[uint64][]string
}

// of returns the matters by the first records of the segments. firsts are all sealed
// segments in order, the last of which ends before end. mail.Temporary while the
// catalog is behind the ledger: holds would be missed.
func (h *heldSegments) of(ctx context.Context, firsts []uint64, end uint64) (map[uint64][]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	size := h.size()
	known := end
	if known == math.MaxUint64 && len(firsts) > 0 {
		// No segment was open. If one was begun since, its records are not those of
		// the last that is known: they are looked at again.
		known = firsts[len(firsts)-1]
	}
	end = min(end, size)
	if err := h.begin(); err != nil {
		return nil, err
	}
	add := func(seq uint64, matters []string) {
		at, found := slices.BinarySearch(firsts, seq)
		if !found {
			at--
		}
		if at < 0 {
			return
		}
		have := h.by[firsts[at]]
		for _, m := range matters {
			if !slices.Contains(have, m) {
				have = append(have, m)
			}
		}
		h.by[firsts[at]] = have
	}
	reached, err := h.catalog.Held(h.upTo, func(seq, of uint64, matters []string) bool {
		if seq >= end {
			return false
		}
		add(seq, matters)
		add(of, matters)
		return true
	})
	if err != nil {
		return nil, err
	}
	if reached < size {
		h.matters = "" // it may have been read while it was built anew
		return nil, mail.Errorf(mail.Temporary, "the catalog has not followed the ledger, so it is not known what is held")
	}
	h.upTo = min(known, end)
	return h.by, nil
}

// begin forgets what was found under other matters.
func (h *heldSegments) begin() error {
	all, err := h.catalog.Matters()
	if err != nil {
		return err
	}
	if now := fmt.Sprintf("%+v", all); now != h.matters || h.by == nil {
		h.matters, h.upTo, h.by = now, 0, map[uint64][]string{}
	}
	return nil
}
