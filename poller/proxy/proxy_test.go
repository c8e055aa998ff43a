package proxy_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
	"github.com/mailkeep/mailkeep/poller/proxy"
)

// kinds are the proxies that every test of tunnels is run with.
var kinds = map[proxy.Scheme]func(*relay, net.Conn) error{proxy.SOCKS5: socksProxy, proxy.HTTP: httpProxy}

// A target is a POP3 server on loopback with one mailbox.
type target struct {
	srv  *pop3test.Server
	addr string
	conf *tls.Config // of a client
}

func newTarget(t *testing.T, implicit bool) *target {
	t.Helper()
	server, client := certificate(t)
	s := &pop3test.Server{
		Mailboxes: map[string]*pop3test.Mailbox{"ann": {Password: secret, Messages: pop3test.Messages("A: 1\r\n\r\nx\r\n")}},
		TLSConfig: server, ImplicitTLS: implicit,
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { s.Serve(ctx, l) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return &target{s, l.Addr().String(), client}
}

// certificate makes a certificate of pop.example.org and the trust in it.
func certificate(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"pop.example.org"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(c)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, &tls.Config{RootCAs: pool}
}

// session goes through a whole session with a server whose name only the proxy
// knows.
func session(t *testing.T, tg *target, security pop3.Security, p proxy.Proxy) error {
	t.Helper()
	d := &pop3.Dialer{Address: "pop.example.org:995", Security: security, TLS: tg.conf, DialContext: p.DialContext}
	a, err := d.Dial(t.Context())
	if err != nil {
		return err
	}
	tx, err := a.Login(t.Context(), pop3.Password{User: "ann", Password: secret})
	if err != nil {
		return err
	}
	defer tx.Close()
	if n, _, err := tx.Stat(t.Context()); err != nil || n != 1 {
		t.Errorf("%d messages, %v", n, err)
	}
	_, err = tx.Quit(t.Context())
	return err
}

func password(s string) func() (string, error) { return func() (string, error) { return s, nil } }

// TestTunnel: name and TLS go through the proxy from end to end.
func TestTunnel(t *testing.T) {
	for scheme, handle := range kinds {
		for _, security := range []pop3.Security{pop3.TLS, pop3.STLS, pop3.Plain} {
			for _, user := range []string{"", "ann"} {
				t.Run(string(scheme)+" "+security.String()+" "+user, func(t *testing.T) {
					tg := newTarget(t, security == pop3.TLS)
					r := newRelay(t, handle)
					r.user, r.hide["pop.example.org:995"] = user, tg.addr
					r.start()
					if err := session(t, tg, security, proxy.Proxy{Scheme: scheme, Address: r.addr, User: user, Password: password(secret)}); err != nil {
						t.Fatal(err)
					}
					if got := r.targets(); len(got) != 1 || got[0] != "pop.example.org:995" {
						t.Errorf("asked for %q", got)
					}
				})
			}
		}
	}
}

func TestProxyRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		scheme proxy.Scheme
		user   string // that the proxy wants
		as     string
		say    string
		kind   mail.Kind
		class  pop3.Class
	}{
		"socks: no password":         {proxy.SOCKS5, "ann", "", "", mail.Denied, pop3.Perm},
		"socks: wrong password":      {proxy.SOCKS5, "ann", "bob", "", mail.Denied, pop3.Perm},
		"socks: not allowed":         {proxy.SOCKS5, "", "", "\x05\x00\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00", mail.Denied, pop3.Perm},
		"socks: server refuses":      {proxy.SOCKS5, "", "", "", mail.Other, pop3.Temp},
		"socks: another protocol":    {proxy.SOCKS5, "", "", "HTTP/1.1 400 Bad Request\r\n\r\n", mail.Other, pop3.Temp},
		"http: no password":          {proxy.HTTP, "ann", "", "", mail.Denied, pop3.Perm},
		"http: wrong password":       {proxy.HTTP, "ann", "bob", "", mail.Denied, pop3.Perm},
		"http: not allowed":          {proxy.HTTP, "", "", "HTTP/1.1 403 Forbidden\r\n\r\n", mail.Denied, pop3.Perm},
		"http: server refuses":       {proxy.HTTP, "", "", "", mail.Other, pop3.Temp},
		"http: another protocol":     {proxy.HTTP, "", "", "+OK POP3 ready\r\n", mail.Other, pop3.Temp},
		"http: endless answer":       {proxy.HTTP, "", "", "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 10_000), mail.Other, pop3.Temp},
		"http: endless line":         {proxy.HTTP, "", "", "HTTP/1.1 200 " + strings.Repeat("x", 100_000), mail.Other, pop3.Temp},
		"http: ends inside":          {proxy.HTTP, "", "", "HTTP/1.1 200 OK\r\nVia", mail.Other, pop3.Temp},
		"http: says something first": {proxy.HTTP, "", "", "HTTP/1.1 100 Continue\r\n\r\n", mail.Other, pop3.Temp},
	} {
		t.Run(name, func(t *testing.T) {
			tg := newTarget(t, true)
			r := newRelay(t, kinds[c.scheme])
			r.user, r.say = c.user, c.say
			r.hide["pop.example.org:995"] = "127.0.0.1:1" // where nobody listens
			r.start()
			err := session(t, tg, pop3.TLS, proxy.Proxy{Scheme: c.scheme, Address: r.addr, User: c.as, Password: password(secret)})
			switch {
			case err == nil:
				t.Fatal("no error")
			case pop3.ClassOf(err) != c.class || c.kind != mail.Other && mail.KindOf(err) != c.kind:
				t.Errorf("class %v, kind %v: %v", pop3.ClassOf(err), mail.KindOf(err), err)
			case c.kind == mail.Denied && mail.HintOf(err) == "":
				t.Error("no hint")
			case len(err.Error()) > 400 || strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "Basic "):
				t.Errorf("the error tells too much: %v", err)
			}
			if tg.srv.Sessions() != 0 {
				t.Error("the server was reached")
			}
		})
	}
}

// TestLeftover: what came in one segment with the proxy's answer is the server's.
func TestLeftover(t *testing.T) {
	l := newRelay(t, func(_ *relay, c net.Conn) error { // a server that is silent
		_, err := io.Copy(io.Discard, c)
		return err
	}).start()
	r := newRelay(t, httpProxy)
	r.hold = "+OK held back\r\nand more"
	r.start()
	p := proxy.Proxy{Scheme: proxy.HTTP, Address: r.addr}
	c, err := p.DialContext(t.Context(), "tcp", l.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got := make([]byte, len(r.hold))
	if _, err := io.ReadFull(c, got[:5]); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, got[5:]); err != nil || string(got) != r.hold {
		t.Errorf("%q, %v", got, err)
	}
	c.SetReadDeadline(time.Now().Add(-time.Second))
	if _, err := c.Read(got); err == nil {
		t.Error("there is more")
	}
}

// TestCancel: a proxy that falls silent ends with the context, and its
// connection with it.
func TestCancel(t *testing.T) {
	for scheme := range kinds {
		synctest.Test(t, func(t *testing.T) {
			silent, proxyEnd := net.Pipe()
			done := make(chan struct{})
			go func() {
				io.Copy(io.Discard, proxyEnd)
				close(done)
			}()
			p := proxy.Proxy{Scheme: scheme, Address: "proxy.example.org:1080", Dial: func(context.Context, string, string) (net.Conn, error) { return silent, nil }}
			cause := errors.New("told to stop")
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(7*time.Second, func() { cancel(cause) })
			start := time.Now()
			if c, err := p.DialContext(ctx, "tcp", "pop.example.org:995"); err == nil || c != nil || time.Since(start) != 7*time.Second {
				t.Errorf("%v: %v after %v", scheme, err, time.Since(start))
			}
			<-done
		})
	}
}

func TestPasswordThatCannotBeRead(t *testing.T) {
	p := proxy.Proxy{Scheme: proxy.HTTP, Address: "127.0.0.1:1", User: "ann", Password: func() (string, error) {
		return "", mail.Errorf(mail.NotFound, "no such file")
	}}
	if _, err := p.DialContext(t.Context(), "tcp", "pop.example.org:995"); mail.KindOf(err) != mail.NotFound {
		t.Error(err)
	}
	p.Password = password(strings.Repeat("x", 256))
	if _, err := p.DialContext(t.Context(), "tcp", "pop.example.org:995"); mail.KindOf(err) != mail.Invalid {
		t.Error(err)
	}
	p.User = ""
	if _, err := p.DialContext(t.Context(), "tcp", "a b\r\nX: y:1"); mail.KindOf(err) != mail.Invalid && err == nil {
		t.Error("an address that breaks out of the line")
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]proxy.Proxy{
		"socks5://proxy.example.org:1080":     {Scheme: proxy.SOCKS5, Address: "proxy.example.org:1080"},
		"socks5://ann@proxy.example.org:1080": {Scheme: proxy.SOCKS5, Address: "proxy.example.org:1080", User: "ann"},
		"http://[::1]:3128/":                  {Scheme: proxy.HTTP, Address: "[::1]:3128"},
	} {
		got, err := proxy.Parse(text)
		if err != nil || got.Scheme != want.Scheme || got.Address != want.Address || got.User != want.User || got.String() != strings.TrimSuffix(text, "/") {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "proxy.example.org:1080", "ftp://h:1", "socks5://h", "socks5://:1", "http://h:", "http://h:1/x", "http://h:1?x", "http://h:1#x",
		"socks5://ann:" + secret + "@h:1", "socks5://ann:" + secret + "@h:1\x00", "socks5://" + strings.Repeat("u", 256) + "@h:1",
	} {
		if _, err := proxy.Parse(text); mail.KindOf(err) != mail.Invalid || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
