package app

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// demoPassword protects generated mail on loopback.
const demoPassword = "demo"

// Demo shows the product on a POP3 server and mail of its own: it drains,
// searches, verifies, and tells on out what it does.
func Demo(ctx context.Context, o DemoOptions, out io.Writer, console Console) error {
	d, err := newDemo(ctx, o, out, console)
	if err != nil {
		return err
	}
	err = d.tour(ctx)
	if err == nil && o.KeepRunning {
		err = d.keepRunning(ctx)
	}
	return errors.Join(err, d.close())
}

type demo struct {
	DemoOptions
	out     io.Writer
	console Console
	config  *configs.Config

	temporary string // removed at the end; "" if the archive is to stay
	boxes     []demoMailbox
	server    *pop3test.Server
	stop      context.CancelFunc
	ended     chan error
}

func newDemo(ctx context.Context, o DemoOptions, out io.Writer, console Console) (*demo, error) {
	d := &demo{DemoOptions: o, out: out, console: console}
	if d.Dir == "" {
		tmp, err := os.MkdirTemp("", "mailkeep-demo-")
		if err != nil {
			return nil, err
		}
		d.Dir = tmp
		if !o.KeepRunning {
			d.temporary = tmp
		}
	}
	if err := d.serve(ctx); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// serve starts the sample server on loopback, with a certificate of its own,
// and writes the configuration that an operator would write for it.
func (d *demo) serve(ctx context.Context) error {
	if err := os.MkdirAll(d.Dir, 0o700); err != nil {
		return err
	}
	cert, err := demoCertificate(filepath.Join(d.Dir, "demo-ca.pem"))
	if err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	d.boxes = demoMailboxes(time.Now().AddDate(0, -1, 0).UTC().Truncate(time.Minute))
	d.server = &pop3test.Server{
		Mailboxes: map[string]*pop3test.Mailbox{}, ImplicitTLS: true,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
	}
	for _, b := range d.boxes {
		box := &pop3test.Mailbox{Password: demoPassword}
		for i, raw := range b.messages {
			box.Messages = append(box.Messages, pop3test.Message{UIDL: fmt.Sprintf("%s-%d-%d", b.name, time.Now().UnixNano(), i), Raw: raw})
		}
		d.server.Mailboxes[b.name] = box
	}
	serveCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	d.stop, d.ended = stop, make(chan error, 1)
	go func() { d.ended <- d.server.Serve(serveCtx, l) }()
	return d.configure(l.Addr().String())
}

func (d *demo) configure(addr string) error {
	var b strings.Builder
	if dir, err := os.UserCacheDir(); err == nil { // compiled code that the next demo needs again
		fmt.Fprintf(&b, "extract: {cache_dir: %q}\n", filepath.Join(dir, "mailkeep"))
	}
	fmt.Fprintf(&b, "archive: {dir: %q}\nlog: {level: warn}\npoll: {interval: 10s}\nhosts:\n  sample:\n    address: %s\n    ca_file: %q\nmailboxes:\n", d.archive(), addr, filepath.Join(d.Dir, "demo-ca.pem"))
	password := filepath.Join(d.Dir, "demo.password")
	for _, m := range d.boxes {
		fmt.Fprintf(&b, "  - {name: %s, host: sample, password_file: %q}\n", m.name, password)
	}
	for name, content := range map[string]string{d.file(): b.String(), password: demoPassword + "\n"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			return err
		}
	}
	c, err := configs.Load(configs.Sources{File: d.file()})
	d.config = c
	return err
}

func (d *demo) archive() string { return filepath.Join(d.Dir, "archive") }
func (d *demo) file() string    { return filepath.Join(d.Dir, "mailkeep.yaml") }

func (d *demo) close() error {
	var err error
	if d.stop != nil {
		d.stop()
		err = <-d.ended
	}
	if d.temporary != "" {
		err = errors.Join(err, os.RemoveAll(d.temporary))
	}
	return err
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, format, args...) } //nolint:errcheck // a lost line is no fault of the demo

// watch returns the console of one step.
func (d *demo) watch() (Console, func()) {
	if d.Watch == nil {
		return d.console, func() {}
	}
	return d.Watch()
}

func (d *demo) tour(ctx context.Context) error {
	var messages, octets int
	for _, b := range d.boxes {
		for _, raw := range b.messages {
			messages, octets = messages+1, octets+len(raw)
		}
	}
	d.say("A sample POP3 server has %d mailboxes with %d messages, %.1f MB: plain text, HTML, attachments,\nfour charsets, a malformed message and one of several megabytes.\n\n", len(d.boxes), messages, float64(octets)/1e6)
	for _, step := range []func(context.Context) error{d.drain, d.search, d.verify} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	d.farewell()
	return nil
}

func (d *demo) drain(ctx context.Context) error {
	d.say("1. Drain: fetch, seal in the archive, and only then delete on the server.\n\n")
	console, done := d.watch()
	r, err := DrainOnce(ctx, d.config, nil, console)
	done()
	if err != nil {
		return err
	}
	if err := d.ShowDrain(d.out, r); err != nil {
		return err
	}
	left := 0
	for _, b := range d.boxes {
		left += len(d.server.Mailboxes[b.name].Left())
	}
	d.say("\nThe server has %d messages left.\n\n", left)
	if left > 0 || r.Failed() > 0 {
		return mail.Errorf(mail.Other, "the demo's mailboxes were not emptied")
	}
	return nil
}

// demoQueries are the searches of the tour; each finds something.
var demoQueries = []string{
	"crane inspected",
	`subject:invoice "fourteen days"`,
	"has:attachment (turnover OR contract) mailbox:board",
	"lighthouse keeper",
}

func (d *demo) search(ctx context.Context) (err error) {
	c, err := Open(ctx, d.config, d.console)
	if err != nil {
		return err
	}
	defer func() { err = joinClose(err, c) }()
	d.say("2. Search.\n")
	for _, q := range demoQueries {
		d.say("\n$ mailkeep search '%s'\n", q)
		a, err := c.Search(ctx, mail.SearchRequest{Query: q, Limit: 3})
		if err != nil {
			return err
		}
		if err := d.ShowHits(d.out, a); err != nil {
			return err
		}
		if a.Total == 0 {
			return mail.Errorf(mail.Other, "the demo's search %q found nothing", q)
		}
	}
	return nil
}

func (d *demo) verify(ctx context.Context) error {
	d.say("\n3. Verify: every byte of the archive against its hashes, catalog and index against the ledger.\n\n")
	console, done := d.watch()
	r, err := Verify(ctx, d.config, VerifyOptions{}, console)
	done()
	if err != nil {
		return err
	}
	if err := d.ShowVerify(d.out, r); err != nil {
		return err
	}
	if len(r.Findings) > 0 {
		return mail.Errorf(mail.Corrupt, "verify found %d faults in the demo's archive", len(r.Findings))
	}
	return nil
}

func (d *demo) farewell() {
	if d.temporary != "" {
		d.say("\nThat was all. The archive was temporary and is removed; to keep it: mailkeep demo --dir DIR\nNext: write a mailkeep.yaml for a mailbox of yours (README.md, \"A first configuration\"), or look at\nall settings with: mailkeep config reference\n")
		return
	}
	d.say("\nThe archive is in %s, its configuration in %s. Try:\n\n", d.archive(), d.file())
	for _, s := range []string{"search --config %s harbour", "show --config %s 0-1", "status --config %s", "verify --config %s"} {
		d.say("  mailkeep "+s+"\n", d.file())
	}
}

// keepRunning polls and answers until ctx ends, as "mailkeep run" does.
func (d *demo) keepRunning(ctx context.Context) error {
	d.say("\nThe sample server and the archive keep running; end them with Ctrl-C.\n")
	return Run(ctx, d.config, nil, d.console)
}

// demoCertificate makes a certificate for 127.0.0.1, which is its own
// authority, and writes it to caFile.
func demoCertificate(caFile string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "mailkeep demo"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 1, 0),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	file := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, os.WriteFile(caFile, file, 0o600)
}
