// Package keys holds the keys of an encrypted ledger: how the key of a record
// is derived, how keys lie on disk, who keeps the keys that protect them, and
// how a key is destroyed. docs/archive-format.md is the specification.
//
// # Model
//
//	key source ─KEK of an epoch─▶ key file ─node set─▶ tree ─leaf i─▶ key of record i
//
// Each segment of a ledger has a tree of keys (Tree): a random secret of 32
// octets, from which 65,536 leaves are derived by hashing (the construction of
// Goldreich, Goldwasser and Micali). The key of the record with index i comes
// from leaf i. What is kept is a set of nodes; at first the root alone. Puncture
// replaces a node by those of its subtree that do not lead to a leaf, after
// which that leaf cannot be computed from what is left, and all others can.
//
// The node set is kept in the segment's key file (Dir), sealed under a key
// encryption key (KEK). A KEK belongs to an epoch: a retention class, the year
// in which what it protects expires, and a version. KEKs are kept by a key
// source (Wrapper): a file (KEKFile), one secret in the environment (Master),
// or the transit engine of HashiCorp Vault (Vault).
//
// # Erasing
//
// To erase a record is to destroy every copy of what its key can be derived
// from. Its leaf is punctured and the node set sealed under a KEK that did not
// exist before; the other key files of the group are sealed under the new KEK
// too; then the old KEK is destroyed. Old copies of the key file, on a medium
// or in a backup, cannot be opened any more. A key source that cannot destroy a
// KEK (Master) cannot erase, and says so before anything is changed. Copies of
// the KEKs themselves, and what was given into escrow, are out of reach: who
// holds them has to destroy them.
//
// # Invariants
//
//   - A key file is durable before its tree is handed out, so no record is ever
//     sealed under a key that a crash can lose.
//   - A key file is replaced as a whole, and only after the new content was
//     opened again and found equal to what it replaces.
//   - No KEK is destroyed while a key file that can be seen needs it, or while
//     a key file cannot be read.
//   - A key file, moved to another segment, is refused: its sealed part carries
//     the archive, partition, class, year and number of the segment.
//   - Changes of key files are serialised by a lock on their directory, across
//     processes.
//
// Memory that held a secret is cleared when it is let go, as far as the
// language allows: copies that the runtime or the crypto packages make are not
// reached. Keys are never logged, and no error holds any.
package keys
