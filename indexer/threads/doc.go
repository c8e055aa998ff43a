// Package threads keeps which messages of a partition belong to one
// conversation: a table beside the index that follows the ledger, can be deleted
// at any time and is filled again from it.
//
// # Model
//
// A node is a Message-ID that was seen, as that of a message or as one that a
// message refers to. A message ties its own id to all ids that it refers to, and
// all nodes that are tied, over whatever steps, are one thread. So the order in
// which messages come does not matter, loops are harmless, and the replies to a
// message that never came (a ghost) are one thread all the same. The table is a
// forest of sets with union by weight: a message costs a few look-ups of some
// steps each, however long its thread is.
//
// A thread is named by the smallest position among its messages, which the
// order of arrival cannot change. It is found as the first member of the set.
//
// A message that refers to nothing, but whose subject begins with a reply
// prefix, is tied to messages with the same subject that are near in time and
// share a participant with it: some software drops the references. The relation
// is looked for from both sides, so that it is found whichever comes first. It
// is the only part that can depend on the order of arrival, and does so only
// where more than maxCandidates messages of that subject lie in its window.
//
// # Invariants
//
//   - Add is one transaction, synced before it returns: links and cursor are
//     both there or both not. The index commits behind it, so the table is never
//     behind the index but after a loss, which Position tells.
//   - Adding the same links again, in any order, changes nothing.
//   - A tie is never taken back: what a message once referred to, and a later
//     parser reads otherwise, stays tied until the table is made anew. What
//     Forget removes is a member, not the ties that led through it.
//   - Nothing grows with the length of a thread but the thread: References are
//     bounded by the parser, candidates and participants here.
//
// Message-IDs are kept as the first 16 octets of their SHA-256, subjects and
// addresses as 8 octets. Who can make two of the former collide joins two
// threads, as he can by a References field.
package threads
