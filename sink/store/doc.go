// Package store keeps sealed segments, and other objects that never change, where
// they cannot be taken back: in a directory, or in S3 with Object Lock.
//
// # Model
//
// An object has a name, its bytes, a version that the store gives it, and a
// Retention: until when, and how strictly, nobody may delete it. Objects are made
// once and never replaced (PutIfAbsent); all that changes is that retention gets
// longer and holds come and go. Store is the interface, Dir and S3 are its drivers.
//
// A Spool is what makes an archive on a local disk one in a store: it uploads the
// segments that a ledger has sealed, reads them back, has an event of it appended
// to the ledger, and, when they have been local long enough, removes the local
// file. A Tree is the directory of a ledger with such segments in it: whoever opens
// one reads it from the store, range by range, and need not know.
//
// Key files change, and must be destroyed some day: a Mirror copies them to a place
// without retention.
//
// # Invariants
//
//   - A store is not believed. A segment counts as stored when a whole GET gave its
//     SHA-256, and the store itself says that the retention is set. What is read from
//     the store later is compared with the hashes of its records like any file.
//   - A local segment is removed only after that, after the event is durable, after
//     its note (<segment>.stored) is durable, and after the store has said once more
//     that the version is there, retained. The newest sealed segment always stays.
//   - Nothing is overwritten: If-None-Match on each PUT, and versions are read by
//     their ids. A name that is taken by other bytes is an error, mail.InUse: another
//     writer owns the place.
//   - All steps may be repeated. A PUT whose answer was lost meets its own object.
//   - Retention never gets shorter or weaker by this package.
//   - What a store claims is tried: Probe puts an object, and tries to delete, shorten
//     and overwrite it.
//
// # What stores do wrong
//
// Some gateways delete an object under legal hold once its retention is over, so
// a hold here extends the retention too (Hold, KeepHeld). Some fail on trailing
// checksums, so the SHA-256 goes as a header; it is known beforehand. Some answer
// GetObjectRetention in a form that clients cannot read, and count a bucket's
// default retention from the wrong day: each object gets its own mode and date, and
// the headers of HEAD tell them.
package store
