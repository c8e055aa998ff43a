package proxy

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"unicode"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/mask"
)

const (
	maxAnswer = 16 << 10 // octets of the proxy's answer, its header included
	maxReason = 100      // octets of its reason in an error
)

// connect connects by HTTP CONNECT.
func (p Proxy) connect(ctx context.Context, network, addr, password string) (net.Conn, error) {
	if strings.ContainsAny(addr, "\r\n\x00 ") {
		return nil, mail.Errorf(mail.Invalid, "address %q cannot be sent", addr)
	}
	c, err := p.dial(ctx, network, p.Address)
	if err != nil {
		return nil, err
	}
	tunnel, err := p.ask(ctx, c, addr, password)
	if err != nil {
		c.Close() // it led nowhere
		return nil, err
	}
	return tunnel, nil
}

// ask holds the exchange with the proxy. When ctx ends, so does the connection.
func (p Proxy) ask(ctx context.Context, c net.Conn, addr, password string) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { c.Close() })
	leftover, err := p.exchange(c, addr, password)
	if !stop() {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	return &begun{Conn: c, leftover: leftover}, nil
}

func (p Proxy) exchange(c net.Conn, addr, password string) ([]byte, error) {
	request := "CONNECT " + addr + " HTTP/1.1\r\nHost: " + addr + "\r\n"
	token := base64.StdEncoding.EncodeToString([]byte(p.User + ":" + password))
	if p.User != "" {
		request += "Proxy-Authorization: Basic " + token + "\r\n"
	}
	if _, err := io.WriteString(c, request+"\r\n"); err != nil {
		return nil, err
	}
	leftover, err := readAnswer(c)
	if err != nil && p.User != "" && mask.Repeats(err.Error(), password, token) {
		return nil, &mail.Error{Kind: mail.KindOf(err), Hint: mail.HintOf(err), Err: errors.New("CONNECT was refused (withheld: the answer repeats the password)")}
	}
	return leftover, err
}

// readAnswer reads the proxy's answer. leftover is what came behind it: a server
// that greets may have been read together with it.
func readAnswer(r io.Reader) (leftover []byte, err error) {
	in := bufio.NewReader(io.LimitReader(r, maxAnswer))
	answer, err := http.ReadResponse(in, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return nil, fmt.Errorf("no answer of a proxy: %s", reason(err.Error()))
	}
	// The body is not closed: that would read from what is the server's.
	if answer.StatusCode != http.StatusOK {
		return nil, refusal(answer)
	}
	leftover = make([]byte, in.Buffered())
	_, err = io.ReadFull(in, leftover)
	return leftover, err
}

// refusal words an answer that is not 200.
func refusal(answer *http.Response) error {
	err := fmt.Errorf("CONNECT was answered %s", reason(answer.Status))
	switch answer.StatusCode {
	case http.StatusProxyAuthRequired, http.StatusUnauthorized:
		return mail.WithHint(mail.Errorf(mail.Denied, "%w", err), "check user and password of the proxy; it must take the scheme Basic")
	case http.StatusForbidden, http.StatusMethodNotAllowed:
		return mail.WithHint(mail.Errorf(mail.Denied, "%w", err), "allow CONNECT to the port of the server at the proxy")
	}
	return err
}

// reason bounds and cleans what the proxy said.
func reason(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(s[:min(len(s), maxReason)], "?"))
	return strings.TrimSpace(s)
}

// A begun connection has octets that were read with the proxy's answer. Like any
// net.Conn, it is read by one goroutine at a time.
type begun struct {
	net.Conn
	leftover []byte
}

// Read reads the octets that came with the answer first.
func (c *begun) Read(b []byte) (int, error) {
	if len(c.leftover) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.leftover)
	c.leftover = c.leftover[n:]
	return n, nil
}
