package pop3_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
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
)

const secret = "hunter2-Q9"

// A rig is a client over in-memory connections to a server.
type rig struct {
	t   *testing.T
	srv *pop3test.Server
	box *pop3test.Mailbox
	d   *pop3.Dialer

	ctx  context.Context // of the server
	stop func()
	wg   sync.WaitGroup
	wrap func(net.Conn) net.Conn // the server's end
}

// newRig makes a rig whose mailbox "ann" holds the messages.
func newRig(t *testing.T, messages ...string) *rig {
	t.Helper()
	r := &rig{t: t, box: &pop3test.Mailbox{Password: secret, Messages: pop3test.Messages(messages...)}}
	r.srv = &pop3test.Server{Mailboxes: map[string]*pop3test.Mailbox{"ann": r.box}}
	r.d = &pop3.Dialer{Address: "pop.example.org:110", Security: pop3.Plain, DialContext: r.dial}
	r.ctx, r.stop = context.WithCancel(context.Background())
	t.Cleanup(func() {
		r.stop()
		r.wg.Wait()
	})
	return r
}

// bubble runs f with a rig inside a synctest bubble.
func bubble(t *testing.T, f func(t *testing.T, r *rig), messages ...string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newRig(t, messages...)) })
}

func (r *rig) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	if r.wrap != nil {
		server = r.wrap(server)
	}
	r.wg.Go(func() { r.srv.ServeConn(r.ctx, server) })
	return client, nil
}

// script serves raw text instead: each connection gets the next function.
func (r *rig) script(conns ...func(c net.Conn)) {
	r.d.DialContext = func(context.Context, string, string) (net.Conn, error) {
		if len(conns) == 0 {
			return nil, errors.New("no more connections in the script")
		}
		client, server := net.Pipe()
		f := conns[0]
		conns = conns[1:]
		r.wg.Go(func() {
			defer server.Close()
			f(server)
		})
		return client, nil
	}
}

// says sends text and then reads, whatever comes, until the client goes away.
func says(text string) func(net.Conn) {
	return func(c net.Conn) {
		io.WriteString(c, text)
		io.Copy(io.Discard, c)
	}
}

// dialog greets, and answers one line after the other.
func dialog(c net.Conn, greeting string, answers ...string) {
	io.WriteString(c, greeting)
	in := bufio.NewReader(c)
	for _, a := range answers {
		if _, err := in.ReadString('\n'); err != nil {
			return
		}
		io.WriteString(c, a)
	}
}

// overTCP puts the rig's server on loopback.
func (r *rig) overTCP() {
	r.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	r.wg.Go(func() { r.srv.Serve(r.ctx, l) })
	r.d.Address, r.d.DialContext = l.Addr().String(), nil
}

func (r *rig) hooks(h pop3test.Hooks) { r.srv.SetHooks(h) }

// on answers commands with raw text; those not named run as usual.
func on(answers map[string]string) pop3test.Hooks {
	return pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
		if raw, ok := answers[c.Line()]; ok {
			return &pop3test.Action{Raw: raw}
		}
		if raw, ok := answers[c.Verb]; ok {
			return &pop3test.Action{Raw: raw}
		}
		return nil
	}}
}

func (r *rig) login() *pop3.Transaction {
	r.t.Helper()
	tx, err := r.tryLogin()
	if err != nil {
		r.t.Fatalf("login: %v", err)
	}
	return tx
}

func (r *rig) tryLogin() (*pop3.Transaction, error) {
	r.t.Helper()
	a, err := r.d.Dial(r.t.Context())
	if err != nil {
		return nil, err
	}
	tx, err := a.Login(r.t.Context(), pop3.Password{User: "ann", Password: secret})
	if err == nil {
		r.t.Cleanup(func() { tx.Close() })
	}
	return tx, err
}

// A take is what one call of got was given, with the bytes that were written.
type take struct {
	pop3.Retrieved
	body string
}

// fetch retrieves messages 1 to n.
func fetch(t *testing.T, tx *pop3.Transaction, n int, w pop3.Window) ([]take, error) {
	t.Helper()
	sizes := make([]int, n)
	for i := range sizes {
		sizes[i] = 100
	}
	return fetchSized(t, tx, sizes, w)
}

// fetchSized retrieves messages that LIST announced with these sizes, from 1 on.
func fetchSized(t *testing.T, tx *pop3.Transaction, sizes []int, w pop3.Window) ([]take, error) {
	t.Helper()
	wants := make([]pop3.Want, len(sizes))
	for i, size := range sizes {
		wants[i] = pop3.Want{Number: i + 1, Size: int64(size)}
	}
	bodies := map[int]*bytes.Buffer{}
	var takes []take
	err := tx.Retrieve(t.Context(), wants, w, func(n int) (io.Writer, error) {
		bodies[n] = new(bytes.Buffer)
		return bodies[n], nil
	}, func(m pop3.Retrieved) error {
		tk := take{Retrieved: m}
		if b := bodies[m.Number()]; b != nil {
			tk.body = b.String()
		}
		if m.Err() == nil && mail.FingerprintOf([]byte(tk.body)) != m.Fingerprint() {
			t.Errorf("message %d: fingerprint %v is not that of %q", m.Number(), m.Fingerprint(), tk.body)
		}
		takes = append(takes, tk)
		return nil
	})
	return takes, err
}

// windows are those that every test of bodies is run with.
var windows = []pop3.Window{{Count: 1}, {Count: 8}, {Count: 3, Octets: 150}}

// wantBodies fails unless the takes are exactly these bodies.
func wantBodies(t *testing.T, takes []take, bodies ...string) {
	t.Helper()
	for i, tk := range takes {
		if tk.Err() != nil || i >= len(bodies) || tk.body != bodies[i] {
			t.Fatalf("take %d is %.80q (%v)", i, tk.body, tk.Err())
		}
	}
	if len(takes) != len(bodies) {
		t.Fatalf("%d takes, want %d", len(takes), len(bodies))
	}
}

// wantError fails unless err is of the class; with a sentinel, is it too.
func wantError(t *testing.T, err error, class pop3.Class, is error) {
	t.Helper()
	switch {
	case err == nil:
		t.Fatalf("no error, want class %v", class)
	case pop3.ClassOf(err) != class:
		t.Fatalf("class %v (%v), want %v", pop3.ClassOf(err), err, class)
	case is != nil && !errors.Is(err, is):
		t.Fatalf("%v is not %v", err, is)
	case strings.Contains(err.Error(), secret):
		t.Fatalf("the error tells the password: %v", err)
	}
}

// sent counts the commands with a verb over all sessions.
func (r *rig) sent(verb string) (n int) {
	for _, c := range r.srv.Commands() {
		if c.Verb == verb {
			n++
		}
	}
	return n
}

// An authority issues certificates.
type authority struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, key: newKey(t)}
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// server returns the configuration of a server with a certificate.
func (a *authority) server(name string, notAfter time.Time) *tls.Config {
	a.t.Helper()
	key := newKey(a.t)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: a.cert.NotBefore, NotAfter: notAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, a.cert, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// client returns the configuration of a client that trusts a.
func (a *authority) client() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return &tls.Config{RootCAs: pool}
}
