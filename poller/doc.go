// Package poller drains POP3 mailboxes into an archive and decides when.
//
// # Model
//
// A Mailbox is drained by sessions. One session is one POP3 connection under
// one lease; it lists the mailbox, asks the archive which of the messages it
// has sealed, fetches what is unknown, waits for seal receipts, deletes what
// holds one, and ends. The archive's catalog is the only memory of what is
// sealed: the poller keeps no list of messages of its own, so a crash, a lost
// receipt or a wiped Store costs a download and never a mail.
//
// What the Store holds (type state) is the exception: messages that could not
// be drained and when to try them again, what the server's LIST sizes mean, how
// wide the next session may reach, what the server was last asked to delete, and
// a digest of the last listing. It is bounded, and every part of it can be learnt
// again.
//
// # Invariants
//
//  1. DELE is sent only with a pop3.Warrant, which takes a seal receipt whose
//     fingerprint equals the bytes of this session, or whose header digest,
//     UIDL and size equal what the server shows now.
//  2. Whatever goes wrong, the connection is closed and neither RSET nor QUIT is
//     sent: without QUIT the server deletes nothing (RFC 1939 section 6).
//  3. Where the server may delete what was merely retrieved (RFC 2449 section
//     6.7, EXPIRE 0), no QUIT is sent while a message retrieved in the session
//     is without a receipt.
//  4. A message shorter than announced is sealed as suspect and not deleted,
//     unless the operator wants that of those which always come so.
//  5. The lease is checked at its source before the first DELE and before QUIT.
//  6. Deletion is proven by absence from a later listing, not by the answer to
//     QUIT. What is listed again after three acknowledged QUITs is left alone.
//  7. One message that cannot be drained never stops the others: a message with
//     a bad record is tried after those without one.
//  8. What is about to be deleted is stored before the first DELE, and how many
//     messages of a session may be in doubt is limited: beyond, none is deleted
//     (type blast).
//  9. A message is old enough to be deleted by the time of its first seal, under
//     whichever unique-id; a clock that was set makes none older (type clock).
//  10. Each message of a listing has one fate, which the session's report tells
//     (mail.Drain), and the next report tells what of it came true.
//
// # Listings
//
// Three things are seen by comparing a listing with the one before (type census).
// Mail that went without our asking: another client drains the mailbox, or the
// server's retention; if it was not sealed, it may be lost, and that is an alarm.
// Unique-ids that were changed as a whole, as servers do that are moved or lose
// an index: this is an epoch, in which messages are recognised by their content.
// And since when a message waits for its seal.
//
// # When things go badly
//
// Each failure has an Outcome, and each Outcome its way of backing off (see
// delays). After a session that broke off, the next one fetches one message at
// a time and half as many of them; after two, a single message per session, so
// that a link which dies every few messages still makes progress. Clean sessions
// widen it again.
//
// # Schedule
//
// A Poller holds any number of mailboxes in a heap of due times and starts a
// goroutine only for a session. Sessions and logins are limited per host. Of the
// mailboxes that wait, the one that has had the least octets goes first, and a
// session yields its place to those that wait for it (see fair.go).
//
// What the schedule goes by is part of each mailbox's state: when it was polled
// last and how long it is to rest (type visit), and which secrets were refused
// (type access). So a restart does not begin anew, and any number of Pollers on
// one Store and one Leaser poll each mailbox once per interval together; one that
// dies is replaced within a minute. Refused credentials stop a mailbox after three
// attempts, until its secret changes, and pause a host on which several mailboxes
// are refused (type board).
//
// A Poller counts time by the monotonic clock; only timetables, and what is
// stored, go by the clock on the wall. What is stored is never believed to begin
// in the future, so a clock that jumps neither stops a mailbox nor storms a server.
package poller
