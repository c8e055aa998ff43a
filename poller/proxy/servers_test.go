package proxy_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const secret = "hunter2-Q9"

// A relay is a small proxy server on loopback.
type relay struct {
	t    *testing.T
	addr string
	hold string            // said behind the answer in the same segment, before the server's octets
	say  string            // in place of the answer, if not ""
	user string            // "" wants no authentication
	hide map[string]string // names that only the proxy knows

	handle func(*relay, net.Conn) error
	l      net.Listener
	wg     sync.WaitGroup
	mu     sync.Mutex
	asked  []string // targets, as the client named them
}

// newRelay makes a relay whose connections are handled by f, once it is started.
func newRelay(t *testing.T, f func(r *relay, c net.Conn) error) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return &relay{t: t, l: l, handle: f, addr: l.Addr().String(), hide: map[string]string{}}
}

// start accepts connections until the test ends.
func (r *relay) start() *relay {
	ctx, cancel := context.WithCancel(context.Background())
	r.t.Cleanup(func() {
		cancel()
		r.l.Close()
		r.wg.Wait()
	})
	r.wg.Go(func() {
		for {
			c, err := r.l.Accept()
			if err != nil {
				return
			}
			r.wg.Go(func() {
				defer context.AfterFunc(ctx, func() { c.Close() })()
				defer c.Close()
				r.handle(r, c)
			})
		}
	})
	return r
}

func (r *relay) targets() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.asked...)
}

// reach opens the connection to the target.
func (r *relay) reach(target string) (net.Conn, error) {
	r.mu.Lock()
	r.asked = append(r.asked, target)
	r.mu.Unlock()
	if real, ok := r.hide[target]; ok {
		target = real
	}
	return (&net.Dialer{}).DialContext(r.t.Context(), "tcp", target)
}

// join copies both ways until one end is closed.
func (r *relay) join(c, server net.Conn, from io.Reader) {
	r.wg.Go(func() {
		io.Copy(server, from)
		server.Close()
	})
	io.Copy(c, server)
	c.Close()
}

// httpProxy is a proxy with the method CONNECT.
func httpProxy(r *relay, c net.Conn) error {
	in := bufio.NewReader(c)
	req, err := http.ReadRequest(in)
	if err != nil {
		return err
	}
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(r.user+":"+secret))
	switch {
	case r.say != "":
		_, err = io.WriteString(c, r.say)
		return err
	case req.Method != http.MethodConnect || req.Host != req.RequestURI:
		_, err = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
		return err
	case r.user != "" && req.Header.Get("Proxy-Authorization") != want:
		fmt.Fprintf(c, "HTTP/1.1 407 %s\r\nProxy-Authenticate: Basic\r\n\r\n", req.Header.Get("Proxy-Authorization"))
		return nil
	}
	server, err := r.reach(req.RequestURI)
	if err != nil {
		io.WriteString(c, "HTTP/1.1 502 Bad Gateway\r\n\r\n")
		return err
	}
	io.WriteString(c, "HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n"+r.hold)
	r.join(c, server, in)
	return nil
}

// socksProxy is a SOCKS5 proxy (RFC 1928) with names and passwords (RFC 1929).
func socksProxy(r *relay, c net.Conn) error {
	in := bufio.NewReader(c)
	if r.say != "" {
		io.WriteString(c, r.say)
		_, err := io.Copy(io.Discard, in) // a close with octets unread would be a reset
		return err
	}
	head, err := take(in, 2)
	if err != nil {
		return err
	}
	methods, err := take(in, int(head[1]))
	if err != nil {
		return err
	}
	if err := r.socksLogin(c, in, methods); err != nil {
		return err
	}
	target, err := socksTarget(in)
	if err != nil {
		return err
	}
	server, err := r.reach(target)
	if err != nil {
		c.Write([]byte{5, 5, 0, 1, 0, 0, 0, 0, 0, 0}) // connection refused
		return err
	}
	c.Write([]byte{5, 0, 0, 1, 127, 0, 0, 1, 0, 0})
	r.join(c, server, in)
	return nil
}

func (r *relay) socksLogin(c net.Conn, in *bufio.Reader, methods []byte) error {
	if r.user == "" {
		_, err := c.Write([]byte{5, 0})
		return err
	}
	if !strings.Contains(string(methods), "\x02") {
		c.Write([]byte{5, 0xff})
		return fmt.Errorf("no method that is taken")
	}
	c.Write([]byte{5, 2})
	head, err := take(in, 2)
	if err != nil {
		return err
	}
	user, err := take(in, int(head[1])+1)
	if err != nil {
		return err
	}
	password, err := take(in, int(user[len(user)-1]))
	if err != nil {
		return err
	}
	if string(user[:len(user)-1]) != r.user || string(password) != secret {
		c.Write([]byte{1, 1})
		return fmt.Errorf("wrong password")
	}
	_, err = c.Write([]byte{1, 0})
	return err
}

// socksTarget reads the request, whose address must be a name or IPv4.
func socksTarget(in *bufio.Reader) (string, error) {
	head, err := take(in, 4)
	if err != nil {
		return "", err
	}
	var host string
	switch head[3] {
	case 1:
		ip, err := take(in, 4)
		if err != nil {
			return "", err
		}
		host = net.IP(ip).String()
	case 3:
		n, err := take(in, 1)
		if err != nil {
			return "", err
		}
		name, err := take(in, int(n[0]))
		if err != nil {
			return "", err
		}
		host = string(name)
	}
	port, err := take(in, 2)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(host, strconv.Itoa(int(binary.BigEndian.Uint16(port)))), nil
}

func take(in *bufio.Reader, n int) ([]byte, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(in, b)
	return b, err
}
