// Package tlog is the transparency log of a ledger: the Merkle tree over the
// leaves of its records, published as tiles, with signed tree heads. It lets
// somebody who does not trust the archive check that a record is in it, that
// nothing was changed or taken away since a date, and all that offline.
//
// # Model
//
// The tree is that of RFC 6962 section 2.1 over the leaves of all records of
// one ledger, bookkeeping included; the index of a leaf is the record's sequence
// number. The order of the ledger is the order of the log: there is no second
// sequencer, and nothing here is a truth of its own. The layout is that of
// c2sp.org/tlog-tiles:
//
//	checkpoint                  the latest signed tree head (c2sp.org/tlog-checkpoint)
//	tile/<L>/<N>[.p/<W>]        hashes
//	tile/entries/<N>[.p/<W>]    leaves
//	checkpoints/<n>             every tree head that was ever signed
//	lock                        of the one writer
//
// tile is a view: it can be deleted and is built again from the ledger, octet
// for octet. checkpoints is evidence and cannot: it is what a ledger that was
// rolled back or forked contradicts.
//
// # Invariants
//
//   - A tree head is signed only for records that the ledger has made durable,
//     and only after the root that this package has computed equals the one
//     that the ledger keeps.
//   - It is stored in checkpoints, durably, before anybody is shown it.
//   - The tiles of a tree head are durable before it is signed.
//   - A ledger that is shorter than the last tree head, or has another root, is
//     refused with mail.Corrupt; nothing is signed then, and nothing changed.
//   - In memory are the right edge of the tree, at most 255 hashes for each of
//     its levels, and 255 leaves.
//
// # Evidence from outside
//
// Whoever holds the signing key could write another history and sign it. So
// heads are anchored: time stamp authorities (RFC 3161) say when they existed,
// witnesses (c2sp.org/tlog-witness) that they have seen no other. An Anchorer
// asks both and stores what they answered. None of them can hold up sealing.
package tlog
