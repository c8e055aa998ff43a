// Package envelope finds out whom a message was for, beside what its own To and
// Cc claim: from a journal report that a server wrote around it, or from a field
// that a trusted host added when it delivered it.
//
// # Model
//
// Read parses a message by the Rules of its mailbox, which come from the
// configuration. In this order, and the first that gives something counts:
//
//  1. A journal report of Exchange or Microsoft 365, in a mailbox that is marked
//     for them. The message inside is then the one that is shown and searched:
//     the main fields, the texts and the copy key of the result are its own. The
//     report stays around it: its fields come first in Message.Fields, its
//     parts are in Message.Parts, its text is the text of its part. Exactly one
//     level is unwrapped.
//  2. The field that a rule names, such as Delivered-To.
//  3. The address that a trusted host noted in its Received field.
//
// # Invariants
//
//   - An envelope is never a guess. To and Cc are claims of the sender and never
//     become recipients of an envelope; where nothing is known, the message
//     carries the defect ENVELOPE_UNKNOWN and no envelope.
//   - A sender can write any field. So a report is only one in a mailbox that is
//     marked, and a field of a rule counts only above the first Received field
//     that no trusted host wrote.
//   - A report that is not understood costs nothing but its envelope: the mail is
//     an ordinary one, with the defect JOURNAL_UNPARSED.
//   - Reading is total and pure, as the parser is: the same octets, limits and
//     rules give the same message.
//
// That a report has no line Bcc does not prove that there was no Bcc: the server
// gives roles only where it could trust the addressing, and calls everybody else
// a recipient.
package envelope
