package pop3test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"sync"
	"time"
)

// A Server serves mailboxes over POP3. Its exported fields are not changed
// while it serves.
type Server struct {
	Mailboxes map[string]*Mailbox // by user

	// Caps are the lines of CAPA before login; nil is all that the server has.
	// STLS is added to the default where it can be had.
	Caps []string
	// CapsAfterLogin are those after login; nil is the same as before.
	CapsAfterLogin []string

	// Mechanisms are those that AUTH has, of PLAIN, SCRAM-SHA-256, OAUTHBEARER and
	// XOAUTH2; the default Caps announce them.
	Mechanisms []string
	// APOP offers and takes APOP.
	APOP bool

	// TLSConfig allows STLS, or with ImplicitTLS serves TLS from the first
	// octet.
	TLSConfig   *tls.Config
	ImplicitTLS bool

	Hooks Hooks // of the sessions to come; see SetHooks

	IdleTimeout time.Duration // 0 is 10 minutes, the least that RFC 1939 section 3 allows
	MaxConns    int           // connections that Serve holds at once; 0 is 64

	mu       sync.Mutex // guards Hooks once serving, and what follows
	sessions int
	commands []Command
	deleted  []Deletion
}

// A Deletion is a message that the server removed for good.
type Deletion struct {
	Session int
	User    string
	Message
}

const (
	defaultIdle  = 10 * time.Minute
	defaultConns = 64
	maxRecord    = 1 << 16
)

// SetHooks sets the faults of the sessions that begin after it.
func (s *Server) SetHooks(h Hooks) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Hooks = h
}

// Commands returns what clients sent, in order of arrival.
func (s *Server) Commands() []Command {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.commands)
}

// Deleted returns the messages that are deleted for good, in order.
func (s *Server) Deleted() []Deletion {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.deleted)
}

// Sessions returns how many sessions have begun.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions
}

// Serve accepts connections until ctx is done, closes l and the connections,
// and returns when all sessions have ended: nil after ctx was done, else the
// error of the listener.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	free := make(chan struct{}, s.maxConns())
	for {
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		c, err := l.Accept()
		if err != nil {
			l.Close()
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		wg.Go(func() {
			defer func() { <-free }()
			s.ServeConn(ctx, c) // the client is gone; that is its own affair
		})
	}
}

func (s *Server) maxConns() int {
	if s.MaxConns > 0 {
		return s.MaxConns
	}
	return defaultConns
}

// ServeConn serves one connection, closes it, and returns when it has ended:
// nil after QUIT or when a fault ended it, else what went wrong.
func (s *Server) ServeConn(ctx context.Context, c net.Conn) error {
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	p := s.begin(c)
	defer p.leave()
	if s.ImplicitTLS {
		if err := p.startTLS(ctx); err != nil {
			return err
		}
	}
	err := p.run(ctx)
	if errors.Is(err, errEnd) {
		return nil
	}
	return err
}

// begin makes the session of a new connection.
func (s *Server) begin(c net.Conn) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions++
	p := &session{srv: s, id: s.sessions, hooks: s.Hooks, raw: c, conn: c, idle: s.IdleTimeout}
	if p.idle <= 0 {
		p.idle = defaultIdle
	}
	p.cut = -1
	if p.hooks.Cut != nil {
		p.cut, p.ending = p.hooks.Cut(p.id)
	}
	p.in = bufio.NewReaderSize(c, inputBuffer)
	p.out = bufio.NewWriterSize(p, outputBuffer)
	return p
}

func (s *Server) recordCommand(c Command) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commands = appendBounded(s.commands, c)
}

func (s *Server) recordDeleted(session int, user string, ms []Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range ms {
		s.deleted = appendBounded(s.deleted, Deletion{session, user, m})
	}
}

// appendBounded forgets the older half of a full record.
func appendBounded[T any](record []T, v T) []T {
	if len(record) >= maxRecord {
		record = slices.Clone(record[maxRecord/2:])
	}
	return append(record, v)
}
