// Package mail holds the words of mailkeep as types: what a mailbox, a raw
// message, a delivery, a receipt, a record, a defect and a search answer are.
// Every room speaks this vocabulary; none of them knows another room.
//
// The package has no I/O and imports the standard library only. Three rules of
// the product are carried by its types:
//
//   - A message is named by the SHA-256 of its raw bytes (Digest), as the
//     server sent them after dot-unstuffing; never by Message-ID or UIDL.
//   - A Receipt states that a delivery is sealed in the ledger: written,
//     hashed and fsynced. Nothing may be deleted on a server without one whose
//     Fingerprint equals what that server sent (Receipt.Covers).
//   - What is wrong with a message is data (Defect), never an error.
package mail
