package proxy_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/mailkeep/mailkeep/poller/pop3"
	"github.com/mailkeep/mailkeep/poller/proxy"
)

// names answers DNS questions over streams: for each name the addresses, of both
// families; a name without any does not exist.
func names(t *testing.T, known map[string][]string) *net.Resolver {
	t.Helper()
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			for {
				head := make([]byte, 2)
				if _, err := io.ReadFull(server, head); err != nil {
					return
				}
				question := make([]byte, int(head[0])<<8|int(head[1]))
				if _, err := io.ReadFull(server, question); err != nil {
					return
				}
				b := answer(t, question, known)
				if _, err := server.Write(append([]byte{byte(len(b) >> 8), byte(len(b))}, b...)); err != nil {
					return
				}
			}
		}()
		return client, nil
	}}
}

func answer(t *testing.T, question []byte, known map[string][]string) []byte {
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil {
		t.Errorf("a bad question: %v", err)
		return nil
	}
	q := m.Questions[0]
	m.Response, m.Additionals = true, nil
	addresses, ok := known[strings.TrimSuffix(q.Name.String(), ".")]
	if !ok {
		m.RCode = dnsmessage.RCodeNameError
	}
	for _, a := range addresses {
		ip := net.ParseIP(a)
		h := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, Type: q.Type, TTL: 60}
		if ip4 := ip.To4(); ip4 != nil && q.Type == dnsmessage.TypeA {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: [4]byte(ip4)}})
		} else if ip4 == nil && q.Type == dnsmessage.TypeAAAA {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: [16]byte(ip)}})
		}
	}
	b, err := m.Pack()
	if err != nil {
		t.Error(err)
	}
	return b
}

func TestRow88NoSuchName(t *testing.T) {
	direct := pop3.NetDialer()
	direct.Resolver = names(t, nil)
	dial := map[string]func(context.Context, string, string) (net.Conn, error){
		"direct":    direct.DialContext,
		"of socks5": proxy.Proxy{Scheme: proxy.SOCKS5, Address: "proxy.example.org:1080", Dial: direct.DialContext}.DialContext,
		"of http":   proxy.Proxy{Scheme: proxy.HTTP, Address: "proxy.example.org:1080", Dial: direct.DialContext}.DialContext,
	}
	for name, f := range dial {
		d := &pop3.Dialer{Address: "pop.example.org:995", DialContext: f}
		_, err := d.Dial(t.Context())
		if missing, ok := errors.AsType[*net.DNSError](err); pop3.ClassOf(err) != pop3.Temp || !ok || !missing.IsNotFound {
			t.Errorf("%s: class %v, %v", name, pop3.ClassOf(err), err)
		}
	}
}

// TestRow88BlackHole: packets to the address that is tried first lead nowhere;
// the other family is used long before the time to connect is over.
func TestRow88BlackHole(t *testing.T) {
	tg := newTarget(t, true)
	_, port, _ := net.SplitHostPort(tg.addr)
	d := pop3.NetDialer()
	d.Resolver = names(t, map[string][]string{"pop.example.org": {"::1", "127.0.0.1"}})
	var swallowed atomic.Int32
	d.ControlContext = func(ctx context.Context, network, address string, _ syscall.RawConn) error {
		if network != "tcp6" {
			return nil
		}
		swallowed.Add(1)
		<-ctx.Done()
		return context.Cause(ctx)
	}
	start := time.Now()
	client := &pop3.Dialer{Address: "pop.example.org:" + port, TLS: tg.conf, DialContext: d.DialContext}
	a, err := client.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	if took := time.Since(start); swallowed.Load() != 1 || took > 5*time.Second {
		t.Errorf("connected after %v, %d packets swallowed (is there no IPv6 on loopback?)", took, swallowed.Load())
	}
}

// TestRow88NothingLeadsThere: all addresses swallow what is sent; the time to
// connect bounds it.
func TestRow88NothingLeadsThere(t *testing.T) {
	d := pop3.NetDialer()
	d.Resolver = names(t, map[string][]string{"pop.example.org": {"::1", "127.0.0.1"}})
	d.ControlContext = func(ctx context.Context, _, _ string, _ syscall.RawConn) error {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	client := &pop3.Dialer{Address: "pop.example.org:995", DialContext: d.DialContext, Timeouts: pop3.Timeouts{Connect: 600 * time.Millisecond}}
	start := time.Now()
	_, err := client.Dial(t.Context())
	if took := time.Since(start); pop3.ClassOf(err) != pop3.Temp || took > 5*time.Second {
		t.Errorf("%v after %v", err, took)
	}
}

func TestRow88ProxyRefusesTheConnection(t *testing.T) {
	for scheme := range kinds {
		d := &pop3.Dialer{Address: "pop.example.org:995", DialContext: proxy.Proxy{Scheme: scheme, Address: "127.0.0.1:1"}.DialContext}
		_, err := d.Dial(t.Context())
		if pop3.ClassOf(err) != pop3.Temp || !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s: class %v, %v", scheme, pop3.ClassOf(err), err)
		}
	}
}

// TestKeepAlive: connections ask for a sign of life every half minute.
func TestKeepAlive(t *testing.T) {
	if d := pop3.NetDialer(); d.KeepAlive != 30*time.Second || d.FallbackDelay < 0 {
		t.Errorf("keep-alive %v, fallback %v", d.KeepAlive, d.FallbackDelay)
	}
}
