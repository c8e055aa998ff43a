package app

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/internal/lab"
	"github.com/mailkeep/mailkeep/mail"
)

// directSection configures an archive in the buckets of a gateway.
func directSection(t *testing.T, g *lab.Gateway) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(g.Buckets, "changes"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := strings.Replace(storeSection(t, g, "compliance"), "kind: s3\n", "kind: s3\n  mode: direct\n  direct: {linger: 20ms}\n", 1)
	s = strings.Replace(s, "  keep_local: 1ms\n", "", 1)
	s = strings.Replace(s, "bucket: mail,", "bucket: mail, keys_bucket: changes,", 1)
	return s + fmt.Sprintf("transparency: {key_file: %q}\n", filepath.Join(t.TempDir(), "checkpoint.key"))
}

// vanish takes away what a process keeps for itself.
func (p *plant) vanish(t *testing.T) {
	t.Helper()
	if err := os.RemoveAll(p.config.Archive.Dir); err != nil {
		t.Fatal(err)
	}
}

// TestDirect: each process has an empty directory, and the archive goes on: what was
// sealed is found, nothing is sealed twice, and all of it verifies.
func TestDirect(t *testing.T) {
	p := newPlant(t, 4, directSection(t, lab.StartGateway(t)), "alice")
	p.drain(t)
	if p.left() != 0 {
		t.Fatalf("%d messages are left on the server", p.left())
	}
	p.vanish(t)
	if report, err := Verify(t.Context(), p.config, VerifyOptions{}, console(t)); err != nil || report.Partitions[0].Messages != 4 {
		t.Errorf("verified from the store alone: %+v, %v", report, err)
	}
	p.vanish(t)
	p.drain(t)
	c := p.open(t)
	if got := pages(t, c, "everywhere", 10); len(got) != 4 {
		t.Errorf("found %q", got)
	}
	closeOK(t, c)
	report, err := Verify(t.Context(), p.config, VerifyOptions{}, console(t))
	if err != nil || len(report.Findings) > 0 || report.Partitions[0].Messages != 4 {
		t.Errorf("verified %+v, %v", report, err)
	}
}

// TestDirectRefused: what cannot work says so before anything is done.
func TestDirectRefused(t *testing.T) {
	p := newPlant(t, 1, directSection(t, lab.StartGateway(t)), "alice")
	p.drain(t)
	_, rekey := ChangeSigningKey(t.Context(), p.config)
	for what, err := range map[string]error{"reindex": Reindex(t.Context(), p.config, console(t)), "new signing key": rekey} {
		if mail.KindOf(err) != mail.Invalid || mail.HintOf(err) == "" {
			t.Errorf("%s: %v; %s", what, err, mail.HintOf(err))
		}
	}
	if err := os.WriteFile(filepath.Join(p.config.Archive.Dir, identityFile), []byte(`{"format":1,"archive":"`+newUUID()+`","partitions":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(t.Context(), p.config, nil, console(t)); mail.KindOf(err) != mail.Invalid || !strings.Contains(mail.HintOf(err), "empty") {
		t.Errorf("it starts in the directory of another archive: %v", err)
	}
}

// TestDirectProbesFirst: a store that must be write-once and is not gets no segment,
// and so nobody a receipt.
func TestDirectProbesFirst(t *testing.T) {
	dir := t.TempDir()
	p := newPlant(t, 1, fmt.Sprintf("store: {kind: dir, mode: direct, dir: %q, worm: required}\ntransparency: {key_file: %q}\n",
		filepath.Join(dir, "store"), filepath.Join(dir, "checkpoint.key")), "alice")
	if _, err := New(t.Context(), p.config, nil, console(t)); err == nil || !strings.Contains(err.Error(), "not write-once") {
		t.Fatalf("started with a store that is not write-once: %v", err)
	}
	if _, err := os.Stat(filepath.Join(p.config.Archive.Dir, catalogDir)); !os.IsNotExist(err) {
		t.Errorf("the ledger was opened before the store was tried: %v", err)
	}
}
