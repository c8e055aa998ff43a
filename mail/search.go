package mail

import "time"

// A SearchRequest asks for one page of hits.
type SearchRequest struct {
	Query string `json:"query"` // in the language of package indexer/query
	Limit int    `json:"limit"` // hits wanted; 0 is the default, the maximum is the service's
	After string `json:"after,omitempty"`
	// Zone is where days begin and end, as the time zone database names it
	// ("Europe/Berlin"), or as an offset ("+02:00"); empty for UTC.
	Zone string `json:"zone,omitempty"`
	// Strict makes an error of what would be a warning.
	Strict bool `json:"strict,omitempty"`
	// Explain asks for SearchAnswer.Explanation.
	Explain bool `json:"explain,omitempty"`
	// By is the order of hits: ByDate or ByRelevance; empty for ByDate.
	By string `json:"by,omitempty"`
	// Group asks for one hit of each group alone, its newest: GroupThread or
	// GroupCopy; empty for all hits. Groups are ordered by date.
	Group string `json:"group,omitempty"`
	// Facets names what is to be counted over all hits: of FacetNames.
	Facets []string `json:"facets,omitempty"`
	// FacetValues is how many values of each facet are wanted; 0 means 10.
	FacetValues int `json:"facet_values,omitempty"`
	// Partly asks for the messages in the scope of the query that could not be fully
	// read, whether they match or not: those that Coverage.Partly counts.
	Partly bool `json:"partly,omitempty"`
	// Count asks for no hits, but for all else.
	Count bool `json:"count,omitempty"`
	// Evidence asks for Sets and Result of the answer, for which all hits are walked.
	Evidence bool `json:"evidence,omitempty"`
}

// The orders of hits.
const (
	ByDate      = "date"      // the effective date, newest first
	ByRelevance = "relevance" // how much the words of the query count in a message
)

// The ways to group hits.
const (
	GroupThread = "thread" // the conversation
	GroupCopy   = "copy"   // messages that differ in trace fields alone
)

// FacetNames returns what hits can be counted by.
func FacetNames() []string {
	return []string{"sender", "domain", "mailbox", "year", "month", "type", "class"}
}

// MaxFacetValues is the most that SearchRequest.FacetValues may be.
const MaxFacetValues = 1000

// A SearchAnswer is one page of hits with its coverage.
type SearchAnswer struct {
	Query      string `json:"query"`
	Understood string `json:"understood"` // the query in canonical form
	// Explanation says the same in words, a condition a line, with all dates
	// worked out; see SearchRequest.Explain.
	Explanation string    `json:"explanation,omitempty"`
	Warnings    []Warning `json:"warnings,omitempty"`
	Total       uint64    `json:"total"` // exact
	Hits        []Hit     `json:"hits"`
	Next        string    `json:"next,omitempty"` // After of the next page; empty on the last
	// Groups is how many groups the hits are in, if that was asked for.
	Groups   uint64   `json:"groups,omitempty"`
	Facets   []Facet  `json:"facets,omitempty"` // in the order of the request
	Coverage Coverage `json:"coverage"`
	// Fingerprint stands for the question: the canonical query, what else was asked
	// that changes which messages are found and how they are ordered, and the format
	// of the index. It is the same on all pages.
	Fingerprint Digest `json:"fingerprint"`
	// Sets stands for all hits of each partition, and Result for Sets and Coverage;
	// see docs/search.md. Two answers with the same Fingerprint and Result have the
	// same hits on all their pages. Without SearchRequest.Evidence they are not set.
	Sets   []ResultSet `json:"sets,omitempty"`
	Result Digest      `json:"result,omitzero"`
}

// A ResultSet stands for all hits in one partition.
type ResultSet struct {
	Partition uint16 `json:"partition"`
	Total     uint64 `json:"total"`
	// Digest is the SHA-256 of the positions of the hits, ascending, each in 8
	// octets, most significant first.
	Digest Digest `json:"digest"`
}

// A Facet counts all hits of an answer by their values of something. A message
// with several values, such as file types, counts once for each.
type Facet struct {
	Name   string       `json:"name"`
	Values []FacetValue `json:"values"` // most frequent first, then by value
	// Distinct is how many values there are. Of several partitions it is at least so
	// many, unless Off is 0.
	Distinct uint64 `json:"distinct"`
	// Off is how much the counts may be too low at most, and the most that a value
	// that is not listed may have instead of its place: 0 if all is exact. It is not
	// 0 only if several partitions have more than MaxFacetValues values each.
	Off uint64 `json:"off,omitempty"`
}

// A FacetValue is a value and how many hits have it.
type FacetValue struct {
	Value string `json:"value"`
	Count uint64 `json:"count"`
}

// A Group tells of the hits that one hit stands for.
type Group struct {
	Key string `json:"key"` // the id of the first message of the thread, or the key of the copies
	// Members is how many hits are in it, that one included; of its partition.
	Members uint64 `json:"members"`
}

// A Warning points at something in the query that was read in a way its writer
// may not expect.
type Warning struct {
	Pos  int    `json:"pos"` // octet offset in the query
	Text string `json:"text"`
}

// A Coverage tells how much of the archive an answer rests on.
type Coverage struct {
	Cursors []Cursor `json:"cursors"` // one per partition
	// Complete says that every record of every ledger was searched.
	Complete bool `json:"complete"`
	// Partly counts the records whose text could not be fully read, by
	// TextStatus.
	Partly map[TextStatus]uint64 `json:"partly,omitempty"`
	// Failed names partitions that could not be searched at all, and why.
	Failed []string `json:"failed,omitempty"`
	// Missing are records before the cursors that could not be searched: their
	// part of an index failed, and is being built again.
	Missing []Gap `json:"missing,omitempty"`
}

// A Gap is a range of records, From <= position < To, and why they are missing.
// To is 0 if it has no end yet.
type Gap struct {
	Partition uint16 `json:"partition"`
	From      uint64 `json:"from"`
	To        uint64 `json:"to,omitempty"`
	Why       string `json:"why"`
}

// A Hit is one delivery that matches.
type Hit struct {
	ID          ID        `json:"id"`
	Mailbox     string    `json:"mailbox"`
	Date        time.Time `json:"date"` // effective date
	Sealed      time.Time `json:"sealed"`
	Subject     string    `json:"subject"`
	From        string    `json:"from"`
	To          string    `json:"to"`
	Size        int64     `json:"size"`
	Attachments []string  `json:"attachments,omitempty"` // file names
	// Thread is the first message of the conversation, in the order of the ledger;
	// ID itself if there is no other. It is found at each search.
	Thread   *ID        `json:"thread,omitempty"`
	Snippets []Fragment `json:"snippets,omitempty"`
	// Score is the relevance, if hits are ordered by it: of use within an answer only.
	Score float64 `json:"score,omitempty"`
	Group *Group  `json:"group,omitempty"` // if groups were asked for
	// Partly says why not all could be read, if SearchRequest.Partly was set.
	Partly []TextStatus `json:"partly,omitempty"`
	// After is the page token of what comes behind this hit in its partition. It is
	// for those who merge pages, and not set in what they answer.
	After string `json:"after,omitempty"`
}

// A Fragment is a piece of text with its matches marked.
type Fragment struct {
	Field string `json:"field"` // "subject", "body" or an attachment's file name
	Text  string `json:"text"`
	// Marks are half-open ranges of octets in Text, in order.
	Marks [][2]int `json:"marks"`
}
