package pop3test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"time"
)

const (
	inputBuffer  = 64 << 10
	outputBuffer = 64 << 10
	maxLine      = 255 // RFC 2449 section 4, line end included
	writeTimeout = time.Minute
	fareWell     = 2 * time.Second // for a client to read what was sent before a FIN
)

// errEnd ends a session that has nothing to complain about.
var errEnd = errors.New("session ended")

// Write sends octets under the faults of the session: in segments, and not
// beyond the cut.
func (p *session) Write(b []byte) (int, error) {
	var done int
	for done < len(b) {
		n := len(b) - done
		if p.hooks.Segment > 0 {
			n = min(n, p.hooks.Segment)
		}
		if p.cut >= 0 {
			n = int(min(int64(n), p.cut-p.sent))
		}
		if n > 0 {
			p.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
			m, err := p.conn.Write(b[done : done+n])
			done, p.sent = done+m, p.sent+int64(m)
			if err != nil {
				return done, err
			}
		}
		if p.cut >= 0 && p.sent >= p.cut {
			return done, p.end(p.ending)
		}
	}
	return done, nil
}

// end ends the connection and returns errEnd.
func (p *session) end(how Ending) error {
	p.leave() // before the client can know, so that it may come back at once
	switch how {
	case Reset:
		if t, ok := p.raw.(*net.TCPConn); ok {
			t.SetLinger(0)
		}
	case FIN:
		if p.secure {
			p.conn.(*tls.Conn).CloseWrite() // close_notify; the FIN follows in any case
		}
		if c, ok := p.raw.(interface{ CloseWrite() error }); ok && c.CloseWrite() == nil {
			p.raw.SetReadDeadline(time.Now().Add(fareWell))
			io.Copy(io.Discard, p.raw) // or the close would become a reset
		}
	case Stall:
		p.conn.SetReadDeadline(time.Time{})
		io.Copy(io.Discard, p.conn)
	}
	p.raw.Close()
	return errEnd
}

// startTLS puts TLS under the session.
func (p *session) startTLS(ctx context.Context) error {
	c := tls.Server(p.raw, p.srv.TLSConfig)
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	if err := c.HandshakeContext(ctx); err != nil {
		return err
	}
	p.conn, p.secure = c, true
	p.in.Reset(c)
	return nil
}

// readResponse reads a line of an AUTH exchange without its end.
func (p *session) readResponse() (string, error) {
	p.conn.SetReadDeadline(time.Now().Add(p.idle))
	line, err := p.in.ReadSlice('\n')
	if err == nil && len(line) > maxResponse {
		err = errBad
	}
	return strings.TrimRight(string(line), "\r\n"), err
}

// readLine reads a command line without its end. It answers an overlong line
// itself and goes on to the next.
func (p *session) readLine() (string, error) {
	for {
		p.conn.SetReadDeadline(time.Now().Add(p.idle))
		line, err := p.in.ReadSlice('\n')
		if err == nil && len(line) <= maxLine {
			return strings.TrimRight(string(line), "\r\n"), nil
		}
		if err != nil && !errors.Is(err, errBufferFull) {
			return "", err
		}
		for errors.Is(err, errBufferFull) {
			_, err = p.in.ReadSlice('\n')
		}
		if err != nil {
			return "", err
		}
		if err := p.bad("line too long"); err != nil {
			return "", err
		}
	}
}

func (p *session) eol() string {
	if p.hooks.LFOnly {
		return "\n"
	}
	return "\r\n"
}

// line sends one line.
func (p *session) line(s string) error {
	_, err := p.out.WriteString(s + p.eol())
	return err
}

// body sends raw dot-stuffed (RFC 1939 section 3), with its terminator.
func (p *session) body(raw []byte) error {
	if p.hooks.LFOnly {
		raw = bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n"))
	}
	eol := []byte(p.eol())
	for rest := raw; len(rest) > 0; {
		line, after, found := bytes.Cut(rest, eol)
		if !p.hooks.NoDotStuffing && len(line) > 0 && line[0] == '.' {
			p.out.WriteByte('.')
		}
		p.out.Write(line)
		if found || !p.hooks.NoFinalCRLF {
			p.out.Write(eol)
		}
		rest = after
	}
	p.out.WriteString("." + p.eol())
	_, err := p.out.WriteString(p.hooks.AfterBody)
	return err
}

// wireSize is the number of octets that a client gets for raw, the CR LF that
// the terminator needs included.
func wireSize(raw []byte) int64 {
	n := int64(len(raw))
	if n > 0 && !bytes.HasSuffix(raw, []byte("\r\n")) {
		n += 2
	}
	return n
}
