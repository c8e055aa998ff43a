package main

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/lab"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

// A vault hands out secrets, each in a file of its own outside of what is
// searched, and remembers them. They have octets that base64, URLs and quotes
// write in other ways.
type vault struct {
	t       *testing.T
	dir     string
	secrets []string
}

// secret returns a secret and the file that holds it.
func (v *vault) secret(name string) (secret, file string) {
	v.t.Helper()
	secret = fmt.Sprintf(`Zq%d+/=&%%~"%s?pw`, len(v.secrets), name)
	v.secrets = append(v.secrets, secret)
	file = filepath.Join(v.dir, name)
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		v.t.Fatal(err)
	}
	return secret, file
}

// A masquerade is the scene of TestSecretsAreMasked: servers that take secrets,
// servers that repeat them in what they say, and a configuration that drains all
// of them.
type masquerade struct {
	*vault
	site  *site
	certs string
	ca    string // the authority of the servers
	good  *pop3test.Server
	boxes []string
	echos []*echo
	oauth strings.Builder
	hosts strings.Builder
	list  strings.Builder
}

// An echo is a server of one mailbox that answers credentials by saying what it
// might have made of them.
type echo struct {
	mailbox string
	forms   []string
	said    atomic.Int64
}

// repeat says one of the forms after the other, so that each stands in a line of
// its own.
func (e *echo) repeat(c pop3test.Command) *pop3test.Action {
	switch c.Verb {
	case "PASS", "APOP", "AUTH", pop3test.Response:
		form := e.forms[int(e.said.Add(1)-1)%len(e.forms)]
		return &pop3test.Action{Raw: "-ERR [AUTH] I do not like " + form + " at all\r\n"}
	}
	return nil
}

// serve starts a server with TLS and returns its address.
func (m *masquerade) serve(s *pop3test.Server) string {
	m.t.Helper()
	cert, err := tls.LoadX509KeyPair(filepath.Join(m.certs, "server.pem"), filepath.Join(m.certs, "server.key"))
	if err != nil {
		m.t.Fatal(err)
	}
	s.TLSConfig, s.ImplicitTLS, s.APOP = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, true, true
	s.Mechanisms = []string{"PLAIN", "SCRAM-SHA-256", "XOAUTH2", "OAUTHBEARER"}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	m.t.Cleanup(func() { stop(); <-ended })
	return l.Addr().String()
}

// addEcho starts an echo that says the forms, and configures its mailbox.
func (m *masquerade) addEcho(name, more string, forms ...string) {
	e := &echo{mailbox: name, forms: forms}
	s := &pop3test.Server{Mailboxes: map[string]*pop3test.Mailbox{}, Hooks: pop3test.Hooks{OnCommand: e.repeat}}
	m.echos = append(m.echos, e)
	m.add(name, m.serve(s), m.ca, more)
}

// add configures a mailbox on a host of its own, so that the refusals of others
// do not keep it from being tried.
func (m *masquerade) add(name, address, ca, more string) {
	fmt.Fprintf(&m.hosts, "  %s: {address: %q, ca_file: %q, logins_per_minute: 60000}\n", name, address, ca)
	fmt.Fprintf(&m.list, "  - {name: %s, host: %s, %s}\n", name, name, more)
	m.boxes = append(m.boxes, name)
}

// tokens starts a token server, which fails and repeats the request if it is to
// echo, and configures a client of it by the name.
func (m *masquerade) tokens(name string, echo bool) (token string) {
	m.t.Helper()
	token, _ = m.secret(name + "-token")
	next, _ := m.secret(name + "-next-refresh-token")
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		answer := map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 3600, "refresh_token": next}
		if echo {
			w.WriteHeader(http.StatusBadRequest)
			form, _ := url.ParseQuery(string(body))
			answer = map[string]any{"error": "invalid_client", "error_description": "you sent " + string(body) + " " + form.Get("client_secret"), "error_uri": "https://example.org/?" + string(body)}
		}
		json.NewEncoder(w).Encode(answer) //nolint:errcheck // the peer is gone
	}))
	m.t.Cleanup(s.Close)
	ca := filepath.Join(m.certs, name+".pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		m.t.Fatal(err)
	}
	_, client := m.secret(name + "-client")
	fmt.Fprintf(&m.oauth, "  %s: {flow: refresh-token, token_url: %q, client_id: id, client_secret_file: %q, ca_file: %q}\n", name, s.URL, client, ca)
	return token
}

// proxy starts a proxy that refuses, and repeats the credentials.
func (m *masquerade) proxy() string {
	m.t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent := r.Header.Get("Proxy-Authorization")
		plain, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(sent, "Basic "))
		w.Header().Set("X-You-Sent", sent)
		http.Error(w, "wrong: "+sent+" "+string(plain), http.StatusProxyAuthRequired)
	}))
	m.t.Cleanup(s.Close)
	return strings.Replace(s.URL, "http://", "http://user@", 1)
}

func newMasquerade(t *testing.T) *masquerade {
	m := &masquerade{vault: &vault{t: t, dir: t.TempDir()}, site: emptySite(t), certs: t.TempDir(),
		good: &pop3test.Server{Mailboxes: map[string]*pop3test.Mailbox{}}}
	lab.Certificates(t, m.certs)
	m.ca = filepath.Join(m.certs, "ca.pem")
	address := m.serve(m.good)
	m.addPasswords(address)
	m.addTokens(address)
	other := t.TempDir()
	lab.Certificates(t, other)
	_, file := m.secret("broken-tls")
	m.add("broken-tls", address, filepath.Join(other, "ca.pem"), fmt.Sprintf("password_file: %q", file))
	_, file = m.secret("behind-proxy")
	_, proxied := m.secret("of-proxy")
	m.add("behind-proxy", address, m.ca, fmt.Sprintf("password_file: %q, proxy: %q, proxy_password_file: %q", file, m.proxy(), proxied))
	return m
}

// addPasswords configures, for each mechanism, a mailbox that is drained, one
// whose password is wrong, and one of an echo.
func (m *masquerade) addPasswords(address string) {
	for _, auth := range []string{"user-pass", "apop", "plain", "scram-sha-256"} {
		secret, file := m.secret("right-" + auth)
		m.good.Mailboxes["right-"+auth] = &pop3test.Mailbox{Password: secret, Messages: pop3test.Messages("Subject: kept\r\n\r\nmaskenball\r\n")}
		m.add("right-"+auth, address, m.ca, fmt.Sprintf("auth: %s, password_file: %q", auth, file))
		_, file = m.secret("wrong-" + auth)
		m.good.Mailboxes["wrong-"+auth] = &pop3test.Mailbox{Password: "another"}
		m.add("wrong-"+auth, address, m.ca, fmt.Sprintf("auth: %s, password_file: %q", auth, file))
		secret, file = m.secret("echo-" + auth)
		m.addEcho("echo-"+auth, fmt.Sprintf("auth: %s, password_file: %q", auth, file),
			secret, "PASS "+secret, secret[2:], base64.StdEncoding.EncodeToString([]byte("\x00echo-"+auth+"\x00"+secret)))
	}
}

// addTokens does the same with tokens, and configures a mailbox of a client whose
// token server is an echo.
func (m *masquerade) addTokens(address string) {
	for _, auth := range []string{"xoauth2", "oauthbearer"} {
		token := m.tokens("client-"+auth, false)
		more := func(of string) string {
			_, file := m.secret(of + "-refresh-" + auth)
			return fmt.Sprintf("auth: %s, oauth: client-%s, refresh_token_file: %q", auth, auth, file)
		}
		m.good.Mailboxes["right-"+auth] = &pop3test.Mailbox{Accepts: func(s string) bool { return s == token }, Messages: pop3test.Messages("Subject: kept\r\n\r\nmaskenball\r\n")}
		m.add("right-"+auth, address, m.ca, more("right"))
		sent := "user=echo-" + auth + "\x01auth=Bearer " + token + "\x01\x01"
		if auth == "oauthbearer" {
			sent = "n,a=echo-" + auth + ",\x01auth=Bearer " + token + "\x01\x01"
		}
		m.addEcho("echo-"+auth, more("echo"), token, "Bearer "+token, base64.StdEncoding.EncodeToString([]byte(sent)))
	}
	m.tokens("client-echo", true)
	_, file := m.secret("token-echo-refresh")
	m.add("token-echo", address, m.ca, fmt.Sprintf("oauth: client-echo, refresh_token_file: %q", file))
}

// configure writes the configuration; port serves health and metrics.
func (m *masquerade) configure(port string) {
	m.site.configure(fmt.Sprintf("log: {level: debug}\npoll: {interval: 1s, max_sessions: 64}\nhttp: {listen: %q, mailbox_metrics: on}\noauth:\n%shosts:\n%smailboxes:\n%s",
		port, m.oauth.String(), m.hosts.String(), m.list.String()))
}

// search looks for the secrets in all files below dir.
func (m *masquerade) search(dir string) (found []string) {
	m.t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, l := range lab.Leaks(text, m.secrets...) {
			found = append(found, fmt.Sprintf("%s: %s: %q", path, l, m.secrets[l.Secret]))
		}
		return nil
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return found
}

// note runs a command and keeps what it prints among what is searched.
func (m *masquerade) note(status int, args ...string) string {
	m.t.Helper()
	out, errs := m.site.run(status, args...)
	return m.keep(args, out+errs)
}

// noteAny is note for a command that may end in any way.
func (m *masquerade) noteAny(args ...string) string {
	m.t.Helper()
	out, err := m.site.command(args...).CombinedOutput()
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		m.t.Fatal(err)
	}
	return m.keep(args, string(out))
}

func (m *masquerade) keep(args []string, text string) string {
	m.t.Helper()
	f, err := os.CreateTemp(m.site.dir, "output-*")
	if err == nil {
		_, err = f.WriteString(strings.Join(args, " ") + "\n" + text)
	}
	if err != nil || f.Close() != nil {
		m.t.Fatal(err)
	}
	return text
}

// unpack writes the ledger's records to a file in clear: on disk they are
// compressed.
func (m *masquerade) unpack() {
	m.t.Helper()
	b, err := os.ReadFile(filepath.Join(m.site.archive(), "ARCHIVE"))
	if err != nil {
		m.t.Fatal(err)
	}
	var id struct{ Archive string }
	if err := json.Unmarshal(b, &id); err != nil {
		m.t.Fatal(err)
	}
	files, err := durable.OpenDir(filepath.Join(m.site.archive(), "ledger", "0000"))
	if err != nil {
		m.t.Fatal(err)
	}
	defer files.Close()
	r, err := ledger.OpenReader(files, readerOptions(m.t, id.Archive))
	if err != nil {
		m.t.Fatal(err)
	}
	defer r.Close()
	var text strings.Builder
	for rec, err := range r.Records(context.Background(), 0) {
		if err != nil {
			m.t.Fatal(err)
		}
		line, err := json.Marshal(rec)
		if err != nil {
			m.t.Fatal(err)
		}
		text.Write(append(line, '\n'))
	}
	if strings.Count(text.String(), `"drain"`) < 6 {
		m.t.Errorf("the ledger has too few events: %s", text.String())
	}
	if err := os.WriteFile(filepath.Join(m.site.dir, "ledger.json"), []byte(text.String()), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// get returns a page of the running process, and keeps it.
func (m *masquerade) get(address, path string) string {
	resp, err := http.Get("http://" + address + path)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	if err := os.WriteFile(filepath.Join(m.site.dir, strings.ReplaceAll(path, "/", "page-")), b, 0o600); err != nil {
		m.t.Fatal(err)
	}
	return string(b)
}

// TestSecretsAreMasked: at the most talkative level, over logins of every kind
// that go well, are refused, or end with a server, a proxy or a token server that
// repeats what it was sent, no password and no token stands anywhere: in output,
// logs, pages, queue, states, catalog, index or ledger, in plain, base64 or any
// other form.
func TestSecretsAreMasked(t *testing.T) {
	m := newMasquerade(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	m.configure(address)
	showLogs(t, m.site.dir)

	m.note(0, "config", "check")
	tested := m.note(3, append([]string{"mailbox", "test"}, m.boxes...)...)
	m.note(3, append([]string{"mailbox", "test", "--json"}, m.boxes[:3]...)...)
	drained := m.note(3, "drain", "--once")
	for _, want := range []string{"withheld", "certificate", "Proxy"} {
		if !strings.Contains(tested+drained, want) {
			t.Errorf("no failure tells of %q:\n%s", want, tail(tested+drained))
		}
	}
	force := []string{"mailbox", "test", "--force"}
	most := 0
	for _, e := range m.echos {
		force, most = append(force, e.mailbox), max(most, len(e.forms))
	}
	for range most {
		m.note(1, force...)
	}
	p := &mortal{t: t, start: func() *exec.Cmd { return logTo(t, m.site.command("run"), filepath.Join(m.site.dir, "run.log")) }}
	p.spawn()
	await(t, "the process has polled", 20*time.Second, func() bool {
		return strings.Contains(m.get(address, "/metrics"), `mailkeep_mailbox_sessions_total{mailbox="right-xoauth2",outcome="ok"}`)
	})
	m.note(0, "mailbox", "list")
	m.note(0, "status")
	m.note(0, "status", "--json")
	// They may be in a session, so that the status is any.
	m.noteAny("mailbox", "test", "--force", "right-apop", "wrong-plain", "echo-plain", "token-echo", "behind-proxy", "broken-tls")
	m.noteAny("mailbox", "reset", "echo-scram-sha-256", "right-plain")
	for _, box := range []string{"right-apop", "right-xoauth2", "echo-plain", "token-echo"} {
		m.note(0, "mailbox", "history", box, "--messages", "--json")
	}
	m.get(address, "/healthz")
	m.get(address, "/readyz")
	p.terminate()
	m.note(0, "search", "maskenball")
	m.note(0, "verify")
	m.unpack()

	for _, leak := range m.search(m.site.dir) {
		t.Error(leak)
	}
	for _, auth := range []string{"user-pass", "apop", "plain", "scram-sha-256", "xoauth2", "oauthbearer"} {
		if n := len(m.good.Mailboxes["right-"+auth].Left()); n != 0 {
			t.Errorf("right-%s was not drained: the test proves nothing of it", auth)
		}
	}
	for _, e := range m.echos {
		if e.said.Load() < int64(len(e.forms)) {
			t.Errorf("the echo of %s spoke %d times, it has %d forms", e.mailbox, e.said.Load(), len(e.forms))
		}
	}
	// The search is no better than what it finds.
	planted := filepath.Join(m.site.archive(), "nats", "planted")
	if err := os.WriteFile(planted, []byte(base64.StdEncoding.EncodeToString([]byte("x\x00"+m.secrets[4]))), 0o600); err != nil {
		t.Fatal(err)
	}
	if len(m.search(m.site.dir)) == 0 {
		t.Error("a secret that was planted was not found")
	}
}
