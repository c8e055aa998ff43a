package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/internal/bus/bustest"
	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

const killSecret = "open-sesame-4417"

// A vault is the archive that workers drain into. Either it is shared, owned by
// this process behind a NATS server of its own, so that a killed worker takes
// nothing with it; or it is the worker's, which dies with all that it has.
type vault struct {
	dir   string
	queue *bustest.Server // nil: the worker has the whole product inside
	roles string          // of the worker
}

// sharedVault is a vault whose archive lives in this process.
func sharedVault(t *testing.T) (*vault, *configs.Config) {
	t.Helper()
	v := behindQueue(t)
	c := load(t, v.yaml(v.queue.URL))
	a, err := New(t.Context(), c, []Role{RoleArchive}, console(t))
	if err != nil {
		t.Fatal(err)
	}
	a.Start(t.Context())
	t.Cleanup(func() {
		if err := a.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return v, c
}

// behindQueue is a vault behind a NATS server that has no owner yet.
func behindQueue(t *testing.T) *vault {
	t.Helper()
	return &vault{dir: t.TempDir(), queue: bustest.SpawnServer(t), roles: string(RolePoller)}
}

// yaml is the configuration of a process that owns the archive.
func (v *vault) yaml(url string) string {
	return fmt.Sprintf("archive: {dir: %q}\nnats: {url: %q, lease: 2s}\nlog: {level: error}\n", v.archive(), url)
}

func load(t *testing.T, yaml string) *configs.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "mailkeep.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := configs.Load(configs.Sources{File: file})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (v *vault) archive() string { return filepath.Join(v.dir, "archive") }

// sealed reads the ledger's files and returns how often each message of a
// mailbox is in them. It trusts no index and no digest but its own.
func (v *vault) sealed(t *testing.T, mailbox string) map[mail.Digest]int {
	t.Helper()
	got := make(map[mail.Digest]int)
	files, err := durable.OpenDir(filepath.Join(v.archive(), ledgerDir, "0000"))
	if errors.Is(err, fs.ErrNotExist) {
		return got
	}
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	dir, err := openDirectory(v.archive())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	r, err := ledger.OpenReader(files, dir.ledgerOptions(0))
	if errors.Is(err, fs.ErrNotExist) || mail.KindOf(err) == mail.NotFound {
		return got
	}
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for rec, err := range r.Records(context.Background(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if !rec.Searchable() || rec.Delivery.Mailbox != mailbox || rec.Delivery.Suspect != "" {
			continue
		}
		raw, err := r.Raw(context.Background(), rec.ID)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(io.NewSectionReader(raw, 0, raw.Size()))
		if err := errors.Join(err, raw.Close()); err != nil {
			t.Fatal(err)
		}
		got[mail.DigestOf(b)]++
	}
	return got
}

// A victim is one mailbox on a scripted server, and the worker that drains it
// until it is killed.
type victim struct {
	t         *testing.T
	vault     *vault
	mailbox   string
	box       *pop3test.Mailbox
	srv       *pop3test.Server
	file      string // the worker's configuration
	originals [][]byte

	logs  bytes.Buffer   // of all workers
	after pop3test.Hooks // of the sessions that settle

	mu        sync.Mutex
	worker    *exec.Cmd
	exited    chan struct{} // closed when worker has ended
	atConnect bool          // kill it when it connects
}

// newVictim makes a mailbox with mail of each kind that the way to the archive
// tells apart. security is that of the configuration.
func newVictim(t *testing.T, v *vault, name, security string) *victim {
	t.Helper()
	k := &victim{t: t, vault: v, mailbox: name, box: &pop3test.Mailbox{Password: killSecret}}
	k.srv = &pop3test.Server{Mailboxes: map[string]*pop3test.Mailbox{"ann": k.box}}
	large := bytes.Repeat([]byte("A line of the large message, to make it large.\r\n"), 25_000)
	for i, raw := range [][]byte{
		[]byte("From: a@example.org\r\nSubject: one\r\n\r\n.dot\r\n..\r\nbare\n.\nlf\r\n"), large,
		[]byte("From: b@example.org\r\nSubject: three\r\n\r\n+OK\r\n-ERR\r\n"), []byte("Subject: no end of line\r\n\r\nlast"),
	} {
		raw = fmt.Appendf(nil, "X-Mailbox: %s\r\n%s", k.mailbox, raw) // no two mailboxes have equal mail
		k.box.Add(pop3test.Message{UIDL: fmt.Sprint("u", i+1), Raw: raw})
		k.originals = append(k.originals, asServed(raw))
	}
	k.listen(security)
	k.hooks(pop3test.Hooks{})
	t.Cleanup(k.kill)
	return k
}

// under lets what is found next count for a test.
func (k *victim) under(t *testing.T) *victim {
	k.t = t
	return k
}

// config is the worker's configuration.
func (k *victim) config() *configs.Config {
	k.t.Helper()
	c, err := configs.Load(configs.Sources{File: k.file})
	if err != nil {
		k.t.Fatal(err)
	}
	return c
}

// asServed is raw with the end of line that the terminator needs.
func asServed(raw []byte) []byte {
	if bytes.HasSuffix(raw, []byte("\r\n")) {
		return raw
	}
	return append(slices.Clone(raw), "\r\n"...)
}

// listen serves the mailbox on loopback and writes the worker's configuration.
func (k *victim) listen(security string) {
	k.t.Helper()
	dir := k.t.TempDir()
	ca := ""
	if security != "plain" {
		web := httptest.NewTLSServer(nil) // for its certificate
		defer web.Close()
		ca = filepath.Join(dir, "ca.pem")
		k.write(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}))
		k.srv.TLSConfig, k.srv.ImplicitTLS = &tls.Config{Certificates: web.TLS.Certificates}, security == "tls"
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		k.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- k.srv.Serve(ctx, watchedListener{l, k}) }()
	k.t.Cleanup(func() { stop(); <-ended })
	bus := ""
	if k.vault.queue != nil {
		bus = fmt.Sprintf("nats: {url: %q, lease: 2s}\n", k.vault.queue.URL)
	}
	password := filepath.Join(dir, "password")
	k.write(password, []byte(killSecret+"\n"))
	k.file = filepath.Join(dir, "mailkeep.yaml")
	k.write(k.file, fmt.Appendf(nil, "archive: {dir: %q}\n%slog: {level: debug}\nhosts:\n  pop: {address: %s, security: %s, allow_plain: %v, ca_file: %q, logins_per_minute: 60000}\n"+
		"mailboxes:\n  - {name: %q, user: ann, host: pop, password_file: %q}\n",
		k.vault.archive(), bus, l.Addr(), security, security == "plain", ca, k.mailbox, password))
}

func (k *victim) write(name string, b []byte) {
	k.t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		k.t.Fatal(err)
	}
}

// A watchedListener tells its victim of each connection.
type watchedListener struct {
	net.Listener
	k *victim
}

func (l watchedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil && l.k.doomed() {
		l.k.kill()
	}
	return c, err
}

// doomed reports, once, whether the worker is to die now that it has connected.
func (k *victim) doomed() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	doomed := k.atConnect
	k.atConnect = false
	return doomed
}

// hooks sets the faults of the server, with what is checked at each command.
func (k *victim) hooks(h pop3test.Hooks) {
	inner := h.OnCommand
	h.OnCommand = func(c pop3test.Command) *pop3test.Action {
		switch c.Verb {
		case "DELE":
			k.checkDele(c)
		case "RSET":
			k.t.Error("RSET was sent")
		}
		if inner == nil {
			return nil
		}
		return inner(c)
	}
	k.srv.SetHooks(h)
}

// checkDele is oracle O2: the ledger's files hold message n when DELE n comes.
func (k *victim) checkDele(c pop3test.Command) {
	n, err := strconv.Atoi(c.Arg)
	left := k.box.Left()
	if err != nil || n < 1 || n > len(left) {
		k.t.Errorf("DELE %s of %d messages", c.Arg, len(left))
		return
	}
	if k.vault.sealed(k.t, k.mailbox)[mail.DigestOf(asServed(left[n-1].Raw))] == 0 {
		k.t.Errorf("session %d: DELE %d before its seal", c.Session, n)
	}
}

// blow kills the worker of the first session at the n-th command of a verb, and
// then does what the action says.
func (k *victim) blow(verb string, n int, then pop3test.Action) {
	seen := 0
	k.hooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
		if c.Session > 1 || c.Verb != verb {
			return nil
		}
		if seen++; seen != n {
			return nil
		}
		k.kill()
		return &then
	}})
}

// run starts a worker that drains once, with or without a point at which it
// dies, and waits for its end. It reports whether it was killed.
func (k *victim) run(point string) (killed bool) {
	k.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		k.t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), envConfig+"="+k.file, envRoles+"="+k.vault.roles, envPoint+"="+point)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	exited := make(chan struct{})
	k.mu.Lock() // the server may see the worker before this goroutine goes on
	err = cmd.Start()
	k.worker, k.exited = cmd, exited
	k.mu.Unlock()
	if err != nil {
		k.t.Fatal(err)
	}
	err = cmd.Wait()
	close(exited)
	k.logs.Write(out.Bytes())
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if err != nil && !status.Signaled() {
		k.t.Errorf("the worker failed: %v\n%s", err, lastLines(out.String()))
	}
	return status.Signaled() && status.Signal() == syscall.SIGKILL
}

// kill ends the worker, if there is one, by SIGKILL and waits until it is dead.
func (k *victim) kill() {
	k.mu.Lock()
	cmd, exited := k.worker, k.exited
	k.mu.Unlock()
	if cmd == nil {
		return
	}
	cmd.Process.Kill() //nolint:errcheck // it may have ended
	<-exited
}

func lastLines(s string) string {
	const most = 6000
	if len(s) > most {
		return "..." + s[len(s)-most:]
	}
	return s
}

// whole is oracle O1: each message is in the archive or on the server.
func (k *victim) whole() {
	k.t.Helper()
	sealed := k.vault.sealed(k.t, k.mailbox)
	left := make(map[mail.Digest]bool)
	for _, m := range k.box.Left() {
		left[mail.DigestOf(asServed(m.Raw))] = true
	}
	for i, raw := range k.originals {
		if d := mail.DigestOf(raw); sealed[d] == 0 && !left[d] {
			k.t.Errorf("message %d is neither sealed nor on the server", i+1)
		}
	}
}

// mostSessions is how many sessions may log in after a death until all is
// drained (O5): one is enough, and one more may meet what the first has left.
const mostSessions = 2

// settle starts workers until the mailbox is empty, and holds the oracles. A
// worker may have to wait until the lease of a dead one has run out.
func (k *victim) settle() {
	k.t.Helper()
	k.hooks(k.after)
	before := k.logins()
	until := time.Now().Add(30 * time.Second)
	again := time.NewTicker(250 * time.Millisecond)
	defer again.Stop()
	for first := true; first || len(k.box.Left()) > 0; first = false {
		if !first {
			<-again.C
		}
		if time.Now().After(until) {
			k.t.Fatalf("%d messages are left\n%s", len(k.box.Left()), lastLines(k.logs.String()))
		}
		if k.run("") {
			k.t.Fatal("a worker without a point was killed")
		}
		k.whole()
	}
	if n := k.logins() - before; n > mostSessions {
		k.t.Errorf("%d sessions after the death (O5)", n)
	}
	sealed := k.vault.sealed(k.t, k.mailbox)
	for i, raw := range k.originals {
		if n := sealed[mail.DigestOf(raw)]; n != 1 {
			k.t.Errorf("message %d is in the archive %d times (O4)", i+1, n)
		}
	}
	if len(sealed) != len(k.originals) {
		k.t.Errorf("%d messages in the archive, %d were served", len(sealed), len(k.originals))
	}
	k.quiet()
	if k.t.Failed() {
		k.t.Log(lastLines(k.logs.String()))
	}
}

func (k *victim) logins() (n int) {
	for _, c := range k.srv.Commands() {
		if c.Verb == "STAT" {
			n++
		}
	}
	return n
}

// quiet is oracle O6: no worker has told the password.
func (k *victim) quiet() {
	k.t.Helper()
	text := k.logs.String()
	for _, s := range []string{killSecret, base64.StdEncoding.EncodeToString([]byte(killSecret)), base64.StdEncoding.EncodeToString([]byte("\x00ann\x00" + killSecret))} {
		if strings.Contains(text, s) {
			k.t.Errorf("the log tells the password as %q", s)
		}
	}
	if !strings.Contains(text, "level=DEBUG") {
		k.t.Error("the workers logged nothing at debug: the search for the password tells nothing")
	}
}

// verify has the product's own judge say that the archive is sound.
func verifyClean(t *testing.T, c *configs.Config) VerifyReport {
	t.Helper()
	r, err := Verify(t.Context(), c, VerifyOptions{}, console(t))
	if err != nil || len(r.Findings) > 0 {
		t.Errorf("verify: %v, %+v", err, r.Findings)
	}
	return r
}
