// Package retention decides what an archive must keep, and destroys what it must
// not.
//
// # Model
//
// A hold places records under a matter: single ones, or mailboxes with all that they
// have and will get. It is an event in the ledger of each partition that it touches,
// and the catalog adds the events up. A matter holds until it is released as a whole.
// What is held must not be destroyed, whatever else is ordered.
//
// An erasure destroys the keys of records for good (see sink/keys). Their headers,
// and so the log, stay and can be proven. A message and the references to it go
// together, because its bytes are theirs: a hold on any of them forbids it. A
// reference goes alone.
//
// # Invariants
//
//   - An order is judged whole before any of it is carried out, and once more in the
//     turn in which it is: no hold and no reference can come between the judgement
//     and the destruction.
//   - What was ordered is in the ledger before anything is destroyed. An order that
//     was cut off is carried out by giving it again.
//   - Nothing here gives way silently: what is refused is an error that names the
//     record and the matter, or the date.
package retention
