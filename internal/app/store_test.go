package app

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/internal/lab"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/store"
)

// storeSection configures a bucket of the gateway.
func storeSection(t *testing.T, g *lab.Gateway, mode string) string {
	t.Helper()
	dir := t.TempDir()
	access, secret := filepath.Join(dir, "access"), filepath.Join(dir, "secret")
	for name, text := range map[string]string{access: g.Access, secret: g.Secret} {
		if err := os.WriteFile(name, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("store:\n  kind: s3\n  worm: required\n  keep_local: 1ms\n  retention: {mode: %s, period: 6y, start: end-of-year}\n"+
		"  s3: {endpoint: %q, region: us-east-1, bucket: mail, create_bucket: true, path_style: true, allow_plain: true, access_key_file: %q, secret_key_file: %q}\n",
		mode, g.URL, access, secret)
}

// runUntil runs the process until what its spool tells is enough, and the index has
// followed.
func (p *plant) runUntil(t *testing.T, enough func(store.SpoolStatus) bool) StatusReport {
	t.Helper()
	a, err := New(t.Context(), p.config, nil, console(t))
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	one := a.partitions[0]
	for !enough(one.spool.Status()) || one.index.Position() < one.ledger.Size() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("the spool does not get there: %+v", a.partitions[0].spool.Status())
		}
	}
	r, err := a.status(t.Context())
	if err != nil {
		t.Error(err)
	}
	if err := a.catchUp(t.Context()); err != nil { // what the spool tells is in the ledger too
		t.Error(err)
	}
	if err := a.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	return r
}

// TestStore: what was drained goes into a bucket with Object Lock, leaves the disk,
// and is searched, read and verified as before.
func TestStore(t *testing.T) {
	p := newPlant(t, 5, storeSection(t, lab.StartGateway(t), "compliance"), "alice")
	p.drain(t)
	r := p.runUntil(t, func(s store.SpoolStatus) bool { return s.Stored >= 1 && s.Waiting == 0 })
	if r.Store == nil || !r.Store.WORM || r.Store.Problem != "" || !strings.HasPrefix(r.Store.Place, "s3://mail/") || r.Partitions[0].Stored == nil {
		t.Errorf("the store is told as %+v", r.Store)
	}
	// The second segment ended with the process before; its event is the last of all.
	p.runUntil(t, func(s store.SpoolStatus) bool { return s.Away >= 1 && s.Stored >= 2 && s.Waiting == 0 })
	first := filepath.Join(p.config.Archive.Dir, ledgerDir, "0000", "0000000000000000.seg")
	if _, err := os.Stat(first); !os.IsNotExist(err) {
		t.Errorf("the first segment is still on the disk: %v", err)
	}
	c := p.open(t)
	if got := pages(t, c, "everywhere", 10); len(got) != 5 {
		t.Errorf("found %q", got)
	}
	for i := range 3 {
		id := mail.ID{Seq: uint64(i + 1)}
		if _, m, err := c.Message(t.Context(), id); err != nil || m == nil {
			t.Errorf("message %s: %v", id, err)
		}
	}
	closeOK(t, c)
	report, err := Verify(t.Context(), p.config, VerifyOptions{}, console(t))
	if err != nil || len(report.Findings) > 0 || report.Partitions[0].Messages != 5 {
		t.Errorf("verified %+v, %v", report, err)
	}
	if err := Reindex(t.Context(), p.config, console(t)); err != nil {
		t.Errorf("reindex: %v", err)
	}
}

// TestStoreRefused: a store that lets delete is refused where write-once is required.
func TestStoreRefused(t *testing.T) {
	// The administrator of the gateway may bypass governance.
	p := newPlant(t, 1, storeSection(t, lab.StartGateway(t), "governance"), "alice")
	_, err := New(t.Context(), p.config, nil, console(t))
	if mail.KindOf(err) != mail.Denied || !strings.Contains(mail.HintOf(err), "worm: preferred") {
		t.Errorf("it starts: %v; %s", err, mail.HintOf(err))
	}
	if p.left() != 1 {
		t.Error("mail was fetched")
	}
}

// TestStoreDown: without its store the archive starts, seals and deletes as ever, and
// says what is wrong.
func TestStoreDown(t *testing.T) {
	g := &lab.Gateway{URL: "http://127.0.0.1:1", Access: "a", Secret: "b"}
	section := strings.Replace(storeSection(t, g, "compliance"), "worm: required", "worm: preferred", 1)
	p := newPlant(t, 3, strings.Replace(section, "create_bucket: true, ", "", 1), "alice")
	p.drain(t)
	if p.left() != 0 {
		t.Errorf("%d messages are left on the server", p.left())
	}
	r := p.runUntil(t, func(s store.SpoolStatus) bool { return s.Problem != "" })
	if r.Store == nil || r.Store.WORM || r.Store.Problem == "" || r.Partitions[0].Problem == "" || r.Partitions[0].Stored.Waiting != 1 {
		t.Errorf("it is told as %+v, %+v", r.Store, r.Partitions[0])
	}
}
