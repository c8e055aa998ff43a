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
//   - An index is opened without a look at its content only if it was closed
//     properly; else the checksum of each file is compared first. What fails is
//     set aside (at most one such copy is kept) and rebuilt.
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
// dates are equal. Each document has one sortable column with both; it costs
// some 30 octets of disk and 0.3 microseconds per hit.
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
