// Package pop3test is a scriptable POP3 server for tests and demonstrations.
package pop3test

import (
	"context"
	"crypto/tls"
	"net"
)

// A Message is one message of a mailbox.
type Message struct {
	UIDL string
	Raw  []byte // exact bytes, lines ended by CR LF
}

// A Mailbox is a maildrop.
type Mailbox struct {
	Password string
	Messages []Message
}

// A Server serves mailboxes over POP3.
type Server struct {
	Mailboxes   map[string]*Mailbox // by user
	Caps        []string            // lines of CAPA; nil is a full set
	TLSConfig   *tls.Config         // for STLS and ImplicitTLS
	Hooks       Hooks
	ImplicitTLS bool // Serve and ServeConn start with a TLS handshake
}

// Hooks are the faults to inject.
type Hooks struct{}

// Serve accepts connections until ctx is done, then closes them and waits.
func (s *Server) Serve(ctx context.Context, l net.Listener) error { return nil }

// ServeConn serves one connection and returns when it has ended.
func (s *Server) ServeConn(ctx context.Context, c net.Conn) error { return nil }
