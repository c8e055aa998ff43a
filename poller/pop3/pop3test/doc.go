// Package pop3test is a POP3 server for tests and for demonstrations.
//
// By default a [Server] does what RFC 1939 asks: one session at a time holds a
// mailbox, bodies are dot-stuffed, a message number is good for one session,
// and deletions happen when QUIT is received in the TRANSACTION state and at no
// other time. It also has CAPA (RFC 2449), STLS (RFC 2595), PIPELINING, UIDL,
// TOP, UTF8 (RFC 6856, where announced) and the response codes [IN-USE] and
// [AUTH]; and, where it is asked for, APOP and AUTH (RFC 5034) with PLAIN,
// SCRAM-SHA-256, OAUTHBEARER and XOAUTH2. Input is bounded (255 octets a line,
// twelve thousand in an exchange, twenty bad commands, an idle timeout, a number
// of connections), so that a demonstration may leave it open on loopback. It
// keeps mail in memory and is not meant to hold mail that anyone wants back.
//
// [Hooks] make it misbehave: cut its stream after any octet, answer a command
// with arbitrary octets, delay, send octet by octet, announce wrong sizes, drop
// the connection around QUIT, delete what was only retrieved, and so on. The
// zero Hooks are a correct server.
//
// The server records what clients sent (secrets masked) and which deletions
// were committed, see [Server.Commands] and [Server.Deleted]; both records keep
// their last 65,536 entries.
//
// A server runs on a listener ([Server.Serve]), or on one connection
// ([Server.ServeConn]) such as an end of net.Pipe, where it works inside a
// testing/synctest bubble.
package pop3test
