// Package catalog is the view of one ledger that answers "is this sealed?": by
// mailbox and unique-id for the poller, by digest for the sink, and by mailbox
// for people who ask what was drained.
//
// # Model
//
// A Catalog follows the ledger of one partition. Its content is a pure function
// of the records before its cursor: however they are cut into calls of Apply,
// and whether they come from the sink that has just sealed them or from a scan
// of the segments, the same entries result. Summary states that content as one
// digest, so a rebuilt catalog can be compared with the one it replaces.
//
// The entries live in one bbolt file:
//
//	record   position -> what a receipt says of a message or reference
//	bytes    digest -> position of the message that holds these bytes;
//	         digest, mailbox -> position of the first delivery of these bytes;
//	         digest, mailbox, suspect, UIDL -> position of exactly this delivery
//	row      mailbox, UIDL, LIST size -> position of the latest sound delivery
//	mailbox  name -> number, by order of appearance
//	stats    number of mailbox -> counters
//	drain    mailbox, position -> report of a session, its rows left out
//	session  session -> position of its report
//	matter   matter -> what is known of it, released ones too
//	held     record or mailbox, matter -> the matter that holds it;
//	         record -> it is to be erased
//
// The latter two keys of bytes are left out where they would lead to the message that
// the digest leads to: of most bytes there is one delivery, and one short key. Digests
// come in no order, so each is on a page of its own once the catalog is large: one
// bucket of them, and not two, is half of the pages that a batch writes.
//
// A mailbox's name is arbitrary text and a UIDL arbitrary octets; either is
// replaced by its SHA-256 in keys if it is longer than 1,000 octets.
//
// # Erased records
//
// Of an erased record the ledger tells nothing, so it has no entry. The event that
// tells of the end of an erasure takes out the entries that were made before it,
// and lets the keys that led to them lead to what remains: the catalog is the same
// as one that is built after the erasure. Where that would give a mailbox another
// number, Apply returns mail.Corrupt and the catalog is built anew.
//
// Between the event of an order and that of its end nobody knows whether the bytes
// are there: it may have been cut off. No delivery is known by such a record, so
// nothing is deleted on a server for its sake, and what comes again is sealed again.
//
// # What an answer may rest on
//
// An answer of Lookup lets a poller delete a message that it has not fetched in
// this session, so a damaged page must never turn into one. Every path ends at a
// record entry, which carries a checksum and is compared with what was asked;
// whatever does not fit is mail.Corrupt, and so is a fault or a panic inside
// bbolt, whose pages have no checksums. The remedy is always Reset: the catalog
// is derived, the ledger is the truth.
//
// # Durability
//
// Nothing is synced while the catalog is open: a lost entry is read again from
// the ledger. The price is that a power cut may leave any mixture of old and new
// pages. A marker beside the file therefore says "open" with the boot id of the
// kernel before the first page is written, and "closed", with the checksum of the
// file, after a full sync. What was open under another boot is not even looked at but removed; what was open
// under the same boot lost its process only, so every page write(2) returned for
// is there, and bbolt's own order of writes makes it consistent; it is checked.
//
// The free list is kept in the file. Without it bbolt rebuilds the list from all
// pages at open, in a goroutine of its own in which a damaged page is a panic
// that nobody can recover.
package catalog
