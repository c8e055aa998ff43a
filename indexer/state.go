package indexer

import (
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// A State tells how an index is.
type State struct {
	Shards    int
	Sealed    int
	Documents uint64 // of sealed shards
	// Checked is when the files of all sealed shards had been compared with their
	// checksums: of the one for which that was longest ago. Zero if there are none,
	// or if one never was.
	Checked time.Time
	// Missing are the records of shards that cannot be searched now.
	Missing []mail.Gap
	// Building says that a new generation is being built. Built is how many
	// records its shards cover.
	Building bool
	Built    uint64
}

// Lost counts the records in Missing, but for those of a gap without end.
func (s State) Lost() (n uint64) {
	for _, g := range s.Missing {
		n += max(g.To, g.From) - g.From
	}
	return n
}

// State returns how the index is now.
func (x *Index) State() State {
	x.mu.RLock()
	defer x.mu.RUnlock()
	s := State{Building: x.building != nil}
	for _, p := range x.serving.parts {
		info := p.describe()
		s.Shards++
		if info.Sealed {
			s.Sealed++
			s.Documents += info.Docs
			if s.Sealed == 1 || info.Checked.Before(s.Checked) {
				s.Checked = info.Checked
			}
		}
		if gap := p.gap(); gap != nil {
			s.Missing = append(s.Missing, *gap)
		}
	}
	if x.building == nil {
		return s
	}
	for _, p := range x.building.parts {
		if info := p.describe(); info.Dir != "" && info.To != 0 {
			s.Built += info.To - info.From
		}
	}
	return s
}

// gap returns the records that are missing with the part, or nil.
func (p *part) gap() *mail.Gap {
	info := p.describe()
	why := info.Why
	if err := p.broken(); err != nil {
		why = err.Error()
	} else if info.Dir != "" {
		return nil
	}
	return &mail.Gap{Partition: p.index.opts.Partition, From: info.From, To: info.To, Why: why}
}
