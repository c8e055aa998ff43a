// Package sink takes messages in and seals them: it is the only writer of the
// ledger, and the only maker of receipts.
//
// # Model
//
// A Sink owns one partition. What Accept takes waits in a queue that is bounded
// in messages and octets, is verified against its fingerprint and compressed by
// a few preparers, and is sealed by one committer in batches: the batch is
// appended and synced once (package ledger), the catalog is told, and each
// message is acknowledged with its receipt.
//
// The committer decides what is appended. Bytes that are new to the ledger
// become a message record; bytes that it holds, a reference to that record,
// marked "again" if the mailbox itself delivered them before under another
// UIDL. The same delivery once more (mailbox, UIDL and bytes) appends nothing
// and gets the receipt of the first, marked as a duplicate. So everything before
// the sink may send anything as often as it likes.
//
// A suspect delivery is sealed like any other, and stays apart from a sound one
// of the same bytes: its receipt carries the suspicion and lets nobody delete.
//
// # Invariants
//
//   - A receipt rests on the ledger alone. It is given after the sync that makes
//     its record durable, and it is given then even if the catalog fails to take
//     the record in: the record is there, whatever a view thinks of it.
//   - Nothing is decided on a catalog that is behind. From the moment an append
//     has an uncertain end or the catalog refuses a record, no batch is appended
//     until the catalog has read the ledger up to its durable size, from its
//     cursor, or from the start if it was damaged. So nothing is sealed twice,
//     however the parts fail.
//   - Whatever Accept has taken is acknowledged exactly once, with a receipt or
//     with an error whose kind says whether to send it again.
//   - A failing ledger does not end the sink. Each batch that fails is given
//     back, and the next attempt waits, longer each time; meanwhile the queue
//     fills and Accept blocks, which is how those in front learn of it.
//
// If the process dies after the sync and before the receipts, the messages come
// again and are duplicates; if it dies before the catalog is told, the catalog
// reads them from the ledger at the next start, before anything is decided.
package sink
