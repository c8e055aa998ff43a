// Package pop3 is a POP3 client for one purpose: to drain a mailbox without
// ever losing a message (RFC 1939, with 2449, 2595, 3206, 5034, 6856, 7628,
// 7677, 8314).
//
// # Model
//
// The states of RFC 1939 are types. [Dialer.Dial] returns an [Auth], on which
// only Login is possible; Login consumes it and returns a [Transaction]; Quit
// ends that. A session is used by one goroutine at a time and is worth nothing
// after the first error that is not of [Class] Message: the connection is then
// closed, without QUIT, and every later call returns the same error. Cancelling
// the context of a call in progress closes the connection at once; a context
// that is done before the call does no harm to the session.
//
// # Invariants
//
// Bytes. A body is what stands between the status line and the five octets CR
// LF . CR LF, with one leading dot removed from lines that begin with one. A
// line begins after CR LF and nowhere else: bare CR, bare LF, NUL, 8-bit octets
// and lines of any length are data. Nothing is rewritten, nothing but the
// buffer is held in memory, and end of file before the terminator is an error.
//
// Confirmation. A correct terminator does not prove that client and server
// agree where a body ended. A message is therefore handed to the caller as
// confirmed only when the status line that follows it was read and is one;
// behind the last message that is the answer to NOOP. After any disorder what
// is not confirmed is dropped, the message received last included.
//
// Order. A command that must be alone on the wire is sent only when nothing is
// outstanding and no octet is left in the buffer; stray octets are a
// [ErrDesync]. Commands are pipelined only if the server announced PIPELINING,
// never across a change of state, and never more than 4 KiB of them at a time,
// by a goroutine of their own so that reading never stops.
//
// Deletion. DELE needs a [Warrant]. A Warrant is made only by this package, only
// from a seal receipt, and only for the transaction that compared the receipt
// with what the server holds: with the octets it fetched (WarrantFetched), or
// with UIDL, size and header (WarrantKnown). QUIT has three outcomes, since a
// missing answer proves nothing; even an acknowledged one proves deletion only
// by absence in a later listing.
//
// Login. An [Identity] is logged in by one mechanism and once: there is no way
// from a refusal to a second attempt but a new session. Each step of a SASL
// exchange (RFC 5034) is alone on the wire; a challenge that is not what is due
// cancels it; +OK counts only where the mechanism is content, which for
// SCRAM-SHA-256 means that the server has proved to know the password.
//
// Secrets. Credentials are sent under TLS whose chain, name and [Pin] are
// verified, or under [Plain] by the caller's explicit choice, and tokens and APOP
// under TLS alone; STLS never falls back. Neither logs nor errors contain a
// secret or a line made of it, not even one that the server repeats.
//
// Bounds. Status lines, listing lines, rows, capabilities, headers, bodies and
// what is read only to get back in step are limited ([Limits], [Window]), and
// every wait ([Timeouts]).
package pop3
