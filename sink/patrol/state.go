package patrol

import (
	"encoding/json"
	"errors"
	"io/fs"
	"slices"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

// A Finding is damage that stands.
type Finding struct {
	Level   string    `json:"level"`
	Segment string    `json:"segment"`
	Offset  int64     `json:"offset"`
	Record  uint64    `json:"record"`
	Problem string    `json:"problem"`
	Found   time.Time `json:"found"`
}

// A state is how far the verification has come.
type state struct {
	Last     time.Time `json:"last"`   // start of the last round that was ended
	Chain    time.Time `json:"chain"`  // end of the last verification of the chain
	Bodies   time.Time `json:"bodies"` // begin of the last pass over all bodies that was ended
	Pass     time.Time `json:"pass"`   // begin of the one that goes on
	Next     uint64    `json:"next"`   // first record of the segment that is due
	Round    *round    `json:"round,omitempty"`
	Findings []Finding `json:"findings,omitempty"`
}

// A round is one that goes on.
type round struct {
	Started  time.Time `json:"started"`
	Chained  bool      `json:"chained"`
	From     uint64    `json:"from"`
	Segments int       `json:"segments"`
	Octets   int64     `json:"octets"`
	Findings int       `json:"findings"`
}

// readState returns a state without progress if there is none, or with an error.
func readState(fsys durable.FS, name string) (s state, err error) {
	b, err := durable.ReadFile(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		return state{}, err
	}
	return s, nil
}

func (s *state) marshal() ([]byte, error) {
	b, err := json.MarshalIndent(s, "", "  ")
	return append(b, '\n'), err
}

// has reports whether a segment has findings.
func (s *state) has(segment string) bool {
	return slices.ContainsFunc(s.Findings, func(f Finding) bool { return f.Segment == segment })
}

// settle replaces the findings of a level, in one segment or, if that is "", in all,
// by those that stand now.
func (s *state) settle(segment, level string, found []Finding) {
	s.Findings = slices.DeleteFunc(s.Findings, func(f Finding) bool {
		return f.Level == level && (segment == "" || f.Segment == segment)
	})
	s.Findings = append(s.Findings, found[:min(len(found), mostFindings-min(len(s.Findings), mostFindings))]...)
}

// did goes behind a segment.
func (s *state) did(segs []ledger.SegmentFile, i, damaged int) {
	if s.Round.Segments == 0 {
		s.Round.From = segs[i].First
	}
	if i == 0 || s.Pass.IsZero() {
		s.Pass = s.Round.Started
	}
	s.Round.Segments++
	s.Round.Octets += segs[i].Octets
	s.Round.Findings += damaged
	s.Next = segs[i].First + 1 // the next one that there is
	if i+1 < len(segs) {
		s.Next = segs[i+1].First
	}
}

// end ends the round. After the last segment the next pass begins.
func (s *state) end(segs []ledger.SegmentFile, now time.Time) {
	s.Last, s.Round = s.Round.Started, nil
	if n := len(segs); n == 0 || s.Next > segs[n-1].First {
		s.Bodies, s.Pass, s.Next = s.Pass, time.Time{}, 0
	}
	if s.Last.After(now) {
		s.Last = now
	}
}
