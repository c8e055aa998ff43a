// Package pop3 is a POP3 client for draining mailboxes (RFC 1939, 2449, 2595).
package pop3
