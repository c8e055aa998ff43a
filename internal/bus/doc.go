// Package bus carries mail from pollers to the archive over NATS JetStream,
// embedded in the process or external. It is the only package that knows NATS.
//
// # What the bus promises, and what it does not
//
// The bus is transport. Nothing is kept because it is on the bus: a message is
// deleted on its POP3 server on a seal receipt, which the archive gives after
// its own fsync, and never on an acknowledgement of JetStream. So every loss
// in here (a crash, a wiped store, a receipt that nobody heard) costs a
// download, not a mail. Losing the whole store directory is harmless; Start
// makes an empty one.
//
// From that follow the rules of this package:
//
//   - At least once. A message may reach the archive again: after a crash,
//     after AckWait, after a poller published it twice. The archive decides by
//     its catalog what is new. The duplicate window of the stream guards only
//     the retries of one publication: each Transfer has an identifier of its
//     own, which is the message id, the name of its chunks and the address of
//     its receipt. A legitimate second transfer of the same mail is therefore
//     never taken for a retry, and nobody waits for a receipt that was given
//     to somebody else.
//   - An answer, not silence. Whatever the archive does with a message, the
//     poller is told: a receipt, or a refusal with its mail.Kind. A lost answer
//     is repaired by a lookup in the catalog.
//   - Past the server where there is no need of it. Between a poller and an archive
//     in one process, with the embedded server, a message is handed over in memory
//     (Options.HandOver), as long as there is room and the archive takes; all else
//     goes through the streams. What is handed over dies with the process, like
//     what NATS had not synced. A refusal is told to the poller and the message let
//     go: its server has it.
//   - Bounded. A message up to Options.Inline is one payload; a larger one is
//     a claim check: chunks of 512 KiB in the stream BIG, written while the
//     message arrives, and a manifest in RAW that is published last. Neither
//     side holds more than a few chunks. The streams have limits and refuse
//     what exceeds them (mail.NoSpace) instead of dropping what is old.
//
// # Topology
//
//	RAW       raw.<partition>.<mailbox>    work queue, one consumer per partition
//	BIG       big.<transfer>.<n>           chunks, removed when sealed, after 48 h at the latest
//	MB_LEASE  <mailbox>                    key-value, a key dies 60 s after its last renewal
//	MB_STATE  <mailbox>                    key-value, compare and swap
//	svc.lookup.<p> svc.size.<p> svc.raw.<p>  services of the owner of a partition
//	ledger.size.<p>                        announcements, which may be lost
//
// Mailbox names are arbitrary UTF-8 and become tokens in base64url.
//
// # Deaths
//
// Poller dies before the manifest is in RAW: chunks are left and expire.
// Poller dies later: the archive seals, and the next session learns of it by
// Lookup. Archive dies before its fsync: not acknowledged, so it is delivered
// again. Archive dies between receipt and acknowledgement: delivered again,
// found to be a duplicate. Server dies: clients reconnect, publications are
// tried again with their identifier, a server that reports write errors is
// stopped and started. Chunks are purged after the acknowledgement; a redelivered manifest
// whose chunks are gone is refused as corrupt, which makes the poller fetch
// again.
package bus
