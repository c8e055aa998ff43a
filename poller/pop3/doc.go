// Package pop3 is a POP3 client (RFC 1939, RFC 2449, RFC 2595) for those who
// delete what they have fetched: byte-exact, strict, and unable to delete
// without a seal receipt.
//
// # States are types
//
// A Dialer gives an Auth (AUTHORIZATION state), Auth.Login gives a Transaction
// (TRANSACTION state), and only a Transaction has RETR, DELE and a QUIT that
// deletes. DELE takes a Warrant. A Warrant is made from a mail.Receipt and either
// the confirmed bytes of this session (WarrantFetched) or what the server shows
// of the message now (WarrantKnown); there is no other way to one.
//
// # What counts as received
//
// A body ends at a line that is a single dot, where a line ends with CR LF and
// nothing else: a bare LF or a bare CR is data. One leading dot is taken off a
// line that has one; nothing else is touched, no matter which octets come and
// how long a line is. The end of the stream before that line is an error.
//
// A correct end proves little, for a client that is out of step reads the wrong
// bytes with a correct end. So a message is confirmed, and handed out, only when
// the status line behind it parses; for the last one that is the answer to NOOP.
// Whatever goes wrong before, the message is dropped and the connection closed
// without QUIT.
//
// # One owner
//
// A session is used by one goroutine. It has one goroutine of its own, which
// writes commands, so that neither side waits for the other when both have much
// to send; Close waits for it. Every read and write has a deadline that is
// armed again on progress, and the end of a context ends the step at once; a
// session that was interrupted is broken and refuses all further steps.
package pop3
