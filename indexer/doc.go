// Package indexer keeps the search index of one partition: a view that follows
// the ledger, can be deleted at any time and is rebuilt from it to the same
// content.
//
// # Model
//
// A document stands for a record of the ledger: a message, or a reference that
// brings a known message to another mailbox. Its id is the record's position.
// Follow walks the ledger from the cursor, parses and analyses messages in
// several workers, restores their order and commits them in batches. The engine
// is Bleve; none of its types leaves this package.
//
// # Shards
//
// An index is a row of shards, each an engine of its own with the documents of
// one range of positions. The last one grows; the follower begins another when
// it is full. The upkeep, which runs beside the follower, makes one segment of
// a full shard and seals it: it is read-only from then on, and is changed by
// being written anew. A search asks all shards, several at once. One that
// panics, hangs or fails its checksums is missing from the answer, which says
// so, until the upkeep has mended it. A set of shards is a generation; another
// is built beside the serving one if the format changes or if Renew is called.
// See docs/adr/0007-shards.md.
//
// # Invariants
//
//   - The cursor is committed in the same batch as the documents before it:
//     every record before Position is indexed, whenever the process dies. The
//     order of commits is the order of the ledger, so documents beyond the
//     cursor do not exist either.
//   - A search reads one snapshot, documents and cursor together. Its coverage
//     is therefore a statement about the very documents that were searched.
//   - A message whose bytes cannot be read is a document all the same, with what
//     the record says of it and the text status "failed". Coverage counts it in
//     every search that it might have answered.
//   - An engine that failed once answers nothing more. Its state on disk is
//     sound, its state in memory is not: after a full disk, for example, Bleve
//     panics in the next search. The follower closes it and opens it again.
//   - A shard that grows is opened without a look at its content only if it was
//     closed properly; else the checksum of each file is compared first. Of a
//     sealed one sizes are compared at opening, checksums after a fault, by
//     Summary and, each shard in its turn, beside the follower. What fails is set
//     aside (at most one such copy is kept, until a record is erased, and none that
//     holds erased text) and built again from the ledger.
//   - The manifest alone says which directories are the index's. It is replaced
//     by a rename after what it names is durable.
//   - The same record and message give the same document: Summary compares
//     indexes by what went into them.
//
// # What is a word
//
// See tokenizer and docs/search.md. Words are folded: case, accents and
// compatibility forms do not matter. A word with ä and the like is indexed in two
// spellings, so that "isenbock" and "isenboeck" find "Isenböck"; folding ae to a
// would do with one, and make "Michael" unfindable by half of its spellings.
// Nothing is stemmed and no word is dropped, so that a phrase is exactly what was
// written. Scripts without spaces are indexed as pairs of characters.
//
// Each text is in one field alone. What is asked for anywhere is looked up in all
// fields of words: nine look-ups cost less than to index each word twice, and a
// phrase cannot reach from one text into the next anyway.
//
// How places are packed is told in field.go. It halves the index.
//
// # Order of hits
//
// Newest first means by effective date, as people expect, and by position where
// dates are equal. A segment's column of both is read once into memory, 8
// octets for a document. Shards are asked newest first, until the page is full
// and none that is left can have a newer hit.
//
// # Cost of a query
//
// Each term of a query becomes a set of documents, each operator an operation
// on sets, so the cost is bounded by the postings of the terms. The limits of
// package query bound the terms; a prefix may stand for maxExpansion words;
// phrases are checked in time linear in the occurrences of their words. Search
// returns when its context ends, and no more searches run at once than the
// machine has processors.
package indexer
