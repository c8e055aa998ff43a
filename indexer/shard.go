package indexer

import (
	"context"
	"time"

	"github.com/mailkeep/mailkeep/indexer/query"
	"github.com/mailkeep/mailkeep/mail"
)

// A Shard answers for the records of one range of the ledger. It takes this
// program's query tree and gives this program's hits: no type of a search engine
// crosses it, so that an engine can be replaced by another, or by a fault in a
// test. Its methods may be called by several goroutines at once.
type Shard interface {
	// Range returns the positions from <= position < to that it answers for;
	// to is 0 for the shard that grows.
	Range() (from, to uint64)
	// Newest returns an order key that no hit of it exceeds.
	Newest() string
	// Find evaluates the query on the state at the time of the call. It ends
	// soon after ctx does. An error of kind mail.Invalid is the query's; any
	// other says that the shard cannot answer now.
	Find(ctx context.Context, q *query.Query) (Found, error)
	// Fail says that the shard hung or panicked. It is not asked again before
	// it was looked after.
	Fail(cause error)
}

// A Found is what a shard found. It must be closed. Its methods are called by
// one goroutine at a time.
type Found interface {
	Tally() Tally
	// Keys returns the order keys of the hits, newest first, that are less than
	// before, or of all if that is empty; at most limit.
	Keys(ctx context.Context, before string, limit int) ([]string, error)
	// Hits returns what a page shows of the documents of the keys.
	Hits(ctx context.Context, keys []string) ([]mail.Hit, error)
	// Positions appends the positions of all hits, ascending.
	Positions(ctx context.Context, into []uint64) ([]uint64, error)
	// Count adds, for each value that a facet has among the hits, how many have it.
	Count(ctx context.Context, facet string, zone *time.Location, into map[string]uint64) error
	// Frequencies returns how many documents there are, and how many have each of
	// the words.
	Frequencies(ctx context.Context, words []scored) (docs uint64, have []uint64, err error)
	// Best returns the hits behind the one given, the best first; at most limit.
	Best(ctx context.Context, words []scored, behind score, limit int) ([]score, error)
	// Members appends all hits with the keys of their copies.
	Members(ctx context.Context, into []member) ([]member, error)
	// Statuses returns why the document at a position could not be fully read.
	Statuses(ctx context.Context, seq uint64) ([]mail.TextStatus, error)
	Close() error
}

// A Tally counts what a shard found.
type Tally struct {
	Total uint64
	// Partly counts the records in the scope of the query whose text could not
	// be fully read, by status.
	Partly   map[mail.TextStatus]uint64
	Warnings []mail.Warning
	// Position is the end of what was searched.
	Position uint64
}
