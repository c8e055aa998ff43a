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
}

// A SearchAnswer is one page of hits, newest first, with its coverage.
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
	Coverage    Coverage  `json:"coverage"`
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
}

// A Fragment is a piece of text with its matches marked.
type Fragment struct {
	Field string `json:"field"` // "subject", "body" or an attachment's file name
	Text  string `json:"text"`
	// Marks are half-open ranges of octets in Text, in order.
	Marks [][2]int `json:"marks"`
}
