// Package ledger is the append-only sequence of records of one partition: the
// only truth of the archive. All else is derived from it.
//
// # Model
//
// A ledger is a directory of segment files. A segment is a run of frames, a
// frame is a header of 232 octets and a body. The first 224 octets of a header
// are the leaf of the record in a Merkle tree (RFC 6962 section 2.1), whose
// index is the record's sequence number, and hold the leaf hash of the record
// before. docs/archive-format.md is the specification.
//
// Some records are bookkeeping (segment open, segment seal) or parts of a
// larger one (chunks), and some chunks are of a group that was abandoned.
// Followers never see those as records: positions that they are given (Size,
// mail.Record.Next) lie behind a record that they do see, so that a follower
// that has handled everything has a cursor equal to Size.
//
// # Invariants
//
//   - Visible means durable: Size grows only after the fdatasync that covers
//     the records has returned nil, and a receipt (Sealed) is given only then.
//   - A group of chunks is visible as a whole or not at all, and lies in one
//     segment.
//   - A sealed segment never changes. An open one is appended to by the one
//     process, and the one file handle, that made it; a later process copies
//     its good prefix into a fresh file and seals that.
//   - After a failed write or fdatasync the handle is never used again. What
//     was known to be synced before is copied as after a crash; everything
//     behind it counts as torn even where it reads back well.
//   - No reader is given bytes that were not compared with the hashes of their
//     record.
//   - Nothing that was written is destroyed: what recovery cuts off is kept
//     beside the segment as *.torn.
//
// # Torn or corrupt
//
// The first frame of each group commit carries a flag: all frames before it
// were synced when it was written. A bad frame with a valid flagged frame
// behind it is therefore corruption, which Open refuses to touch. A bad frame
// without one lies in the last, unacknowledged commit, whose pages a power cut
// may leave in any order; it and what is behind it is a torn tail. What a view
// of the ledger has seen must never be cut: Options.Known says how far that is.
package ledger
