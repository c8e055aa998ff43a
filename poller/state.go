package poller

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"hash/fnv"
	"slices"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// stateVersion is raised when a field changes its meaning; a state of another
// version is dropped, which costs retries.
const stateVersion = 1

// Bounds of a state.
const (
	maxState   = 512 << 10 // octets as stored; the values of some stores end at 1 MiB
	maxRows    = 1000      // rows with a record; beyond, those with the fewest failures are forgotten
	maxReports = 8         // events not yet reported; beyond, the oldest is dropped and logged
	maxFates   = 2000      // rows of those events; beyond, an event is kept without its rows
)

// A state is what the Store keeps of a mailbox.
type state struct {
	Version  int `json:"v"`
	Sessions int `json:"sessions"` // that logged in; numbers them for row.SkipUntil

	// Window and Messages are the reach of the next session; 0 is the default.
	// At a window of 1 nothing is pipelined, DELE neither. Bad counts the sessions
	// in a row that broke off.
	Window   int `json:"window,omitempty"`
	Messages int `json:"messages,omitempty"`
	Bad      int `json:"bad,omitempty"`
	// Breaks counts sessions that broke off while pipelining; Calm is how many
	// clean ones without it are wanted before it is tried again. It doubles with
	// each break: some servers announce PIPELINING and drop what comes early.
	Breaks int `json:"breaks,omitempty"`
	Calm   int `json:"calm,omitempty"`
	// Probe says that the archive was in trouble when the last session had mail
	// for it: the next one brings a few messages only, which are fetched in vain
	// if it still is.
	Probe bool `json:"probe,omitempty"`

	Sizes sizes `json:"sizes"`

	// Asked is what the server was last asked to delete. Stuck counts the
	// sessions in a row after which all of it was still there.
	Asked asked `json:"asked,omitzero"`
	Stuck int   `json:"stuck,omitempty"`
	// gaveUp counts the rows that the last listing made undeletable.
	gaveUp int
	// Listed is what is remembered of the last listing. Epoch counts how often
	// all unique-ids were changed.
	Listed listed `json:"listed,omitzero"`
	Epoch  int    `json:"epoch,omitempty"`

	Clock  clock  `json:"clock,omitzero"`
	Blast  blast  `json:"blast,omitzero"`
	Visit  visit  `json:"visit,omitzero"`
	Access access `json:"access,omitzero"`

	// Told is the last report that the ledger has, as far as quiet sessions are
	// compared with it.
	Told told `json:"told,omitzero"`

	Rows    []row        `json:"rows,omitempty"`
	Reports []mail.Drain `json:"reports,omitempty"`
	// Draft is the report of a session that has begun to delete. If it is found
	// by the next one, the worker died before it could tell how that ended.
	Draft *mail.Drain `json:"draft,omitempty"`
}

// A told is what a report said, and how many sessions since had nothing to add.
type told struct {
	At     time.Time `json:"at,omitzero"`
	Listed int       `json:"listed,omitempty"`
	Held   int       `json:"held,omitempty"`
	Quiet  int       `json:"quiet,omitempty"`
}

// quietSpan is how long sessions without anything to tell leave no report. A
// ledger keeps its records for years; a mailbox that is polled every few minutes
// must not fill it with nothing.
const quietSpan = time.Hour

// quiet reports whether r says nothing that the last report did not say, and
// counts it then; else r becomes the last report and tells of those counted.
func (t *told) quiet(r *mail.Drain) bool {
	silent := r.Outcome == string(OutcomeOK) && r.Fetched == 0 && r.Deleted == 0 && r.Listed == t.Listed && r.Held == t.Held &&
		r.Confirmed == nil && r.Vanished == nil && !slices.Contains(r.Notes, mail.NoteEpoch)
	age := r.Ended.Sub(t.At)
	if silent && !t.At.IsZero() && age >= 0 && age < quietSpan {
		t.Quiet++
		return true
	}
	r.Quiet = t.Quiet
	*t = told{At: r.Ended, Listed: r.Listed, Held: r.Held}
	return false
}

// A trouble is why a row has a record.
type trouble string

const (
	poison   trouble = "poison"   // RETR answered -ERR
	deferred trouble = "deferred" // RETR answered -ERR in a run that looked like a quota, or the archive had no room
	short    trouble = "short"    // fewer octets than announced
	oversize trouble = "oversize" // more octets than Mailbox.MaxMessage
	cut      trouble = "cut"      // the session broke off in it
	unsealed trouble = "unsealed" // no receipt came
	refused  trouble = "refused"  // the archive refused it, or gave a receipt for other bytes
	kept     trouble = "kept"     // sealed and to be kept, where UIDL cannot tell so
	changing trouble = "changing" // sealed, and came with other content the next time
	none     trouble = ""         // none, but its deletions are counted
)

// waits gives the time until the next attempt by the number of failures; the
// last entry repeats. No wait means that the row is only tried after others.
var waits = map[trouble][]time.Duration{
	poison:   {10 * time.Minute, time.Hour, week},
	deferred: {0},
	short:    {10 * time.Minute, time.Hour, 24 * time.Hour, week},
	oversize: {week},
	cut:      {0, 0, 0, time.Hour, 24 * time.Hour, week},
	unsealed: {0, 0, 0, time.Hour, 6 * time.Hour, 24 * time.Hour},
	refused:  {10 * time.Minute, time.Hour, 24 * time.Hour, week},
	kept:     {week},
	changing: {0, 0, 10 * time.Minute, time.Hour, 24 * time.Hour, week},
	none:     {0},
}

// fates gives the fate of a row that is left alone for its trouble.
var fates = map[trouble]mail.Fate{
	poison:   mail.FatePoison,
	deferred: mail.FateLater,
	short:    mail.FateShort,
	oversize: mail.FateOversize,
	cut:      mail.FateCut,
	unsealed: mail.FateUnsealed,
	refused:  mail.FateRefused,
	kept:     mail.FateKept,
	changing: mail.FateChanging,
	none:     mail.FateLater,
}

const week = 7 * 24 * time.Hour

// maxCommits is how often a deletion may be acknowledged and the message be
// listed again before it counts as undeletable.
const maxCommits = 3

// A row is the record of a message that could not be drained.
type row struct {
	UIDL mail.Octets `json:"uidl"`
	Size int64       `json:"size"`
	// Number is set where UIDL does not identify the message. Numbers move as
	// others are deleted, so such a record takes hold once the mailbox has settled.
	Number int `json:"n,omitempty"`

	Trouble trouble   `json:"trouble,omitempty"`
	Tries   int       `json:"tries"`
	Next    time.Time `json:"next,omitzero"`
	// SkipUntil is the session from which on the row may be fetched again.
	SkipUntil int `json:"skip_until,omitempty"`
	// Commits counts acknowledged deletions that did not happen, Refused those
	// that DELE was refused; Hold is until when no further one is tried.
	Commits int       `json:"commits,omitempty"`
	Refused int       `json:"refused,omitempty"`
	Hold    time.Time `json:"hold,omitzero"`
	// Digest is what came of a short message the last time, Same how many times
	// in a row, and From since when.
	Digest mail.Digest `json:"digest,omitzero"`
	Same   int         `json:"same,omitempty"`
	From   time.Time   `json:"from,omitzero"`
}

// due reports whether the row may be fetched at now, in the given session.
func (r *row) due(now time.Time, session int) bool {
	return !ahead(r.Next, now) && session >= r.SkipUntil
}

// held reports whether the row's deletion has failed too often to be tried.
func (r *row) held(now time.Time) bool { return ahead(r.Hold, now) }

// ahead reports whether t lies before us. No wait is longer than a week: a time
// beyond that was reckoned by a clock that was wrong, and must not hold a
// message for years.
func ahead(t, now time.Time) bool { return now.Before(t) && t.Sub(now) <= week }

// parseState reads a state; a fresh one and false if data is not one.
func parseState(data []byte) (*state, bool) {
	st := new(state)
	if len(data) == 0 {
		return &state{Version: stateVersion}, true
	}
	if err := json.Unmarshal(data, st); err != nil || st.Version != stateVersion {
		return &state{Version: stateVersion}, false
	}
	st.repair()
	return st, true
}

// repair brings what was read within bounds: another program may have written it.
func (st *state) repair() {
	st.Sessions, st.Window, st.Messages = max(0, st.Sessions), max(0, st.Window), max(0, st.Messages)
	st.Bad, st.Stuck, st.Breaks, st.Calm = max(0, st.Bad), max(0, st.Stuck), max(0, st.Breaks), max(0, st.Calm)
	st.Epoch = max(0, st.Epoch)
	st.Asked.Keys = st.Asked.Keys[:min(len(st.Asked.Keys), 8*MaxBatchMessages)]
	st.Blast.Keys = st.Blast.Keys[:min(len(st.Blast.Keys), 8*MaxBatchMessages)]
	st.Asked.Unnamed = max(0, st.Asked.Unnamed)
	st.Visit.repair()
	st.Access.repair()
	st.Rows = st.Rows[:min(len(st.Rows), maxRows)]
	st.Reports = st.Reports[:min(len(st.Reports), maxReports)]
	for i := range st.Rows {
		r := &st.Rows[i]
		r.Tries, r.Commits, r.Refused, r.Same = max(0, r.Tries), max(0, r.Commits), max(0, r.Refused), max(0, r.Same)
		if waits[r.Trouble] == nil {
			r.Trouble = none
		}
	}
}

// encode returns the state as it is stored, in at most maxState octets: a store
// that refused it would keep none of it. What goes first are the fates in events
// not yet reported, then those events, then what is remembered of the listing,
// then the records with the fewest failures.
func (st *state) encode() ([]byte, error) {
	for {
		data, err := st.marshal()
		if err != nil || len(data) <= maxState || !st.shrink() {
			return data, err
		}
	}
}

// shrink gives something up and reports whether there was anything to give.
func (st *state) shrink() bool {
	for i := range st.Reports {
		if st.Reports[i].Rows != nil {
			st.Reports[i].Rows = nil
			return true
		}
	}
	switch {
	case st.Draft != nil && st.Draft.Rows != nil:
		draft := *st.Draft
		draft.Rows = nil
		st.Draft = &draft
	case len(st.Reports) > 0:
		st.Reports = st.Reports[1:]
	case len(st.Listed.Marks) > 0:
		st.Listed.Marks = nil
	case len(st.Rows) > 0:
		st.sortRows()
		st.Rows = st.Rows[:len(st.Rows)/2]
	default:
		return false
	}
	return true
}

// sortRows puts the records with the most failures first.
func (st *state) sortRows() {
	slices.SortStableFunc(st.Rows, func(a, b row) int {
		return cmp.Compare(b.Tries+b.Commits, a.Tries+a.Commits)
	})
}

func (st *state) marshal() ([]byte, error) {
	if extra := len(st.Rows) - maxRows; extra > 0 {
		st.sortRows()
		st.Rows = st.Rows[:maxRows]
	}
	return json.Marshal(st)
}

// A rowKey identifies a row over sessions as well as the server allows.
type rowKey struct {
	uidl   string
	size   int64
	number int // 0 if the UIDL occurs once
}

func (r row) key() rowKey { return rowKey{string(r.UIDL), r.Size, r.Number} }

// sum returns a digest of k for asked and blast. A collision costs a wrong count.
func (k rowKey) sum() uint64 {
	h := fnv.New64a()
	h.Write(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(k.size)), uint64(k.number)))
	h.Write([]byte(k.uidl))
	return h.Sum64()
}

// index returns the rows by key. It is valid until Rows changes.
func (st *state) index() map[rowKey]*row {
	rows := make(map[rowKey]*row, len(st.Rows))
	for i := range st.Rows {
		rows[st.Rows[i].key()] = &st.Rows[i]
	}
	return rows
}

// at returns the record of k, made if there is none.
func (st *state) at(k rowKey) *row {
	i := slices.IndexFunc(st.Rows, func(r row) bool { return r.key() == k })
	if i < 0 {
		i = len(st.Rows)
		st.Rows = append(st.Rows, row{UIDL: mail.Octets(k.uidl), Size: k.size, Number: k.number})
	}
	return &st.Rows[i]
}

// strike records a failure of the row k at now.
func (st *state) strike(k rowKey, why trouble, now time.Time) {
	r := st.at(k)
	if r.Trouble != why {
		r.Trouble, r.Tries = why, 0
	}
	wait := waits[why][min(r.Tries, len(waits[why])-1)]
	r.Tries++
	r.Next = now.Add(wait)
}

// absolve drops the record of the row k, but not the count of its deletions.
func (st *state) absolve(k rowKey) {
	i := slices.IndexFunc(st.Rows, func(r row) bool { return r.key() == k })
	switch {
	case i < 0:
	case st.Rows[i].Commits+st.Rows[i].Refused == 0:
		st.Rows = slices.Delete(st.Rows, i, i+1)
	default:
		r := &st.Rows[i]
		r.Trouble, r.Tries, r.Next, r.SkipUntil = none, 0, time.Time{}, 0
	}
}

// undeleted records that DELE of the row k was refused.
func (st *state) undeleted(k rowKey, now time.Time) {
	r := st.at(k)
	r.Hold = now.Add(waits[poison][min(r.Refused, len(waits[poison])-1)])
	r.Refused++
}

// broke narrows the next session after one of the given budget and window that
// broke off.
func (st *state) broke(budget, window int) {
	st.Bad++
	if window > 1 {
		st.Calm = 1 << min(st.Breaks, maxCalm)
		st.Breaks++
	}
	st.Window = 1
	st.Messages = max(1, budget/2)
	if st.Bad >= 2 {
		st.Messages = 1
	}
}

// maxCalm is the binary logarithm of the largest Calm.
const maxCalm = 8

// ran widens the next session after a clean one.
func (st *state) ran(budget, window, most int) {
	st.Bad = 0
	st.Messages = 2 * budget
	if st.Messages >= most {
		st.Messages = 0
	}
	switch {
	case window > 1:
		st.Window = window
	case st.Calm > 1:
		st.Calm--
	default:
		st.Calm = 0
		st.Window = firstWindow
	}
}

// owe keeps a report for a later session and returns how many were dropped.
func (st *state) owe(d mail.Drain) (dropped int) {
	fates := len(d.Rows)
	for _, r := range st.Reports {
		fates += len(r.Rows)
	}
	if fates > maxFates {
		d.Rows = nil
	}
	st.Reports = append(st.Reports, d)
	dropped = max(0, len(st.Reports)-maxReports)
	st.Reports = slices.Delete(st.Reports, 0, dropped)
	return dropped
}
