package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/tlog"
)

// stampAuthority serves time stamps by openssl. It returns its URL and the file
// of its root.
func stampAuthority(t *testing.T) (url, root string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "tsa.cnf"), []byte(`[tsa]
default_tsa = main
[main]
serial = serial
signer_cert = tsa.pem
signer_key = tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
[ext]
extendedKeyUsage = critical,timeStamping
`), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(ctx context.Context, args string) error {
		cmd := exec.CommandContext(ctx, "openssl", strings.Fields(args)...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("openssl %s: %w\n%s", args, err, out)
		}
		return nil
	}
	if err := os.WriteFile(filepath.Join(dir, "serial"), []byte("01\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{
		"req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=root.example.org",
		"req -newkey rsa:2048 -nodes -keyout tsa.key -out tsa.csr -subj /CN=tsa.example.org",
		"x509 -req -in tsa.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile tsa.cnf -extensions ext -out tsa.pem",
	} {
		if err := run(t.Context(), args); err != nil {
			t.Fatal(err)
		}
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query, err := io.ReadAll(r.Body)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "query"), query, 0o600)
		}
		if err == nil {
			err = run(r.Context(), "ts -reply -config tsa.cnf -queryfile query -out reply")
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		http.ServeFile(w, r, filepath.Join(dir, "reply"))
	}))
	t.Cleanup(s.Close)
	return s.URL, filepath.Join(dir, "ca.pem")
}

// TestProofs drains into an archive of two partitions, has it anchored, and
// proves each message, to us and to verify.py; verify takes the whole of it.
func TestProofs(t *testing.T) {
	url, root := stampAuthority(t)
	p := newPlant(t, 3, fmt.Sprintf("partitions: 2\ntransparency: {tsa: %q, tsa_ca_file: %q}", url, root), "sales", "accounts", "support")
	p.drain(t)
	// What the drain has had anchored, if anything, is not yet all of it, and the
	// next anchor would be an hour later.
	if err := os.RemoveAll(filepath.Join(p.config.Archive.Dir, anchorsDir)); err != nil {
		t.Fatal(err)
	}
	anchorNow(t, p)

	c := p.open(t)
	defer closeOK(t, c)
	key := filepath.Join(p.config.Archive.Dir, tlog.VKeyName)
	proved, partitions := 0, map[int]bool{}
	for i, s := range c.sources {
		for r, err := range s.Records(t.Context(), 0) {
			if err != nil {
				t.Fatal(err)
			}
			if r.Kind == mail.KindEvent {
				continue
			}
			b, err := c.Proof(t.Context(), r.ID)
			if err != nil {
				t.Fatal(err)
			}
			if len(b.Stamps) == 0 {
				t.Errorf("the proof of %s has no time stamp", r.ID)
			}
			if proved++; !partitions[i] {
				wantProof(t, c, b, key, root)
			}
			partitions[i] = true
		}
	}
	if len(partitions) != 2 {
		t.Errorf("%d messages of the partitions %v are proved", proved, partitions)
	}
	if _, err := c.Proof(t.Context(), mail.ID{Seq: 1 << 40}); mail.KindOf(err) != mail.NotFound {
		t.Errorf("a message that is none: %v", err)
	}
	report, err := Verify(t.Context(), p.config, VerifyOptions{}, console(t))
	if err != nil || len(report.Findings) > 0 {
		t.Errorf("verify: %v, %+v", err, report.Findings)
	}
	script(t, 0, "archive", p.config.Archive.Dir, "--vkey", key, "--tsa-ca", root)

	// A stamp of the other partition that is of another checkpoint is found by both.
	stamps, err := filepath.Glob(filepath.Join(p.config.Archive.Dir, anchorsDir, "*", "*.tsr"))
	others, oerr := filepath.Glob(filepath.Join(p.config.Archive.Dir, anchorsDir, "0001", "*", "*.tsr"))
	if err := errors.Join(err, oerr); err != nil || len(stamps) == 0 || len(others) == 0 {
		t.Fatal(stamps, others, err)
	}
	b, err := os.ReadFile(stamps[0])
	if err == nil {
		err = errors.Join(os.Remove(others[0]), os.WriteFile(others[0], b, 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	report, err = Verify(t.Context(), p.config, VerifyOptions{}, console(t))
	if err != nil || len(report.Findings) != 1 || report.Findings[0].Partition != 1 || !strings.Contains(report.Findings[0].Where, "anchors/0001/") {
		t.Errorf("verify: %v, %+v", err, report.Findings)
	}
	script(t, 1, "archive", p.config.Archive.Dir, "--vkey", key, "--tsa-ca", root)
}

// anchorNow runs the archive until its checkpoint is anchored.
func anchorNow(t *testing.T, p *plant) {
	t.Helper()
	a, err := New(t.Context(), p.config, nil, console(t))
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for p, anchorer := range a.anchorers {
		for anchorer.Last().Size == 0 {
			select {
			case <-tick.C:
			case <-t.Context().Done():
				t.Fatalf("partition %d is not anchored: %v", p, anchorer.Healthy())
			}
		}
	}
	s, err := a.status(t.Context())
	for _, p := range s.Partitions {
		if p.Log == nil || p.Log.AnchoredAt.IsZero() || len(p.Log.AnchoredBy) == 0 {
			t.Errorf("status %+v, %v", p, err)
		}
	}
	if err := a.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// wantProof gives a proof to verify.py.
func wantProof(t *testing.T, c *Client, b tlog.Bundle, key, root string) {
	t.Helper()
	raw, err := c.Raw(t.Context(), b.ID)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(io.NewSectionReader(raw, 0, raw.Size()))
	if err != nil {
		t.Fatal(err)
	}
	closeOK(t, raw)
	text, err := b.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string][]byte{"proof.json": text, "message.eml": content, "other.eml": append(content, '\n')} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	script(t, 0, "proof", filepath.Join(dir, "proof.json"), filepath.Join(dir, "message.eml"), "--vkey", key, "--tsa-ca", root)
	script(t, 1, "proof", filepath.Join(dir, "proof.json"), filepath.Join(dir, "other.eml"), "--vkey", key, "--tsa-ca", root)
}

// script runs verify.py as it stands in the archive.
func script(t *testing.T, want int, args ...string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "verify.py")
	if err := os.WriteFile(file, tlog.Script, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "python3", append([]string{file}, args...)...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatalf("run python3, which the tests need: %v", err)
	}
	if got := cmd.ProcessState.ExitCode(); got != want || want == 0 && strings.Contains(string(out), "note:") {
		t.Errorf("verify.py %v: %d\n%s", args, got, out)
	}
}

// TestRolledBackArchiveIsRefused: a ledger that is older than what was signed
// about it is not written to, and verify says so; so is one without its key.
func TestRolledBackArchiveIsRefused(t *testing.T) {
	p := newPlant(t, 4, "", "sales")
	p.drain(t)
	dir := p.config.Archive.Dir
	key := filepath.Join(dir, keysDir, signingKeyFile)
	if err := os.Rename(key, key+".away"); err != nil {
		t.Fatal(err)
	}
	if _, err := New(t.Context(), p.config, nil, console(t)); mail.KindOf(err) != mail.Denied || mail.HintOf(err) == "" {
		t.Errorf("without its key: %v", err)
	}
	if err := os.Rename(key+".away", key); err != nil {
		t.Fatal(err)
	}
	segments, err := filepath.Glob(filepath.Join(dir, ledgerDir, "0000", "*.seg"))
	if err != nil || len(segments) == 0 {
		t.Fatal(segments, err)
	}
	for _, name := range segments {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	// The views know it too; without them the log alone does.
	for _, view := range []string{catalogDir, indexDir} {
		if err := os.RemoveAll(filepath.Join(dir, view)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := New(t.Context(), p.config, nil, console(t)); mail.KindOf(err) != mail.Corrupt || !strings.Contains(err.Error(), "checkpoint") {
		t.Errorf("rolled back: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, catalogDir), 0o700); err != nil {
		t.Fatal(err)
	}
	report, err := Verify(t.Context(), p.config, VerifyOptions{}, console(t))
	if err != nil || len(report.Findings) == 0 {
		t.Errorf("verify: %v, %+v", err, report.Findings)
	}
	script(t, 1, "archive", dir)
}

// TestNewKey: the archive goes on under a new key, and is taken by those who hold
// the old one; a change that was interrupted is finished, or forgotten.
func TestNewKey(t *testing.T) {
	p := newPlant(t, 2, "", "sales")
	p.drain(t)
	dir := p.config.Archive.Dir
	file := filepath.Join(dir, keysDir, signingKeyFile)
	published := func() string {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(dir, tlog.VKeyName))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(b))
	}
	old := published()
	vkeys, err := ChangeSigningKey(t.Context(), p.config)
	if err != nil || len(vkeys) != 1 || vkeys[0] == old || published() != vkeys[0] {
		t.Fatalf("%q, %v", vkeys, err)
	}
	if _, err := os.Stat(file + nextKey); !os.IsNotExist(err) {
		t.Errorf("the next key is still there: %v", err)
	}
	// A next key that nobody has vouched for is forgotten at the next start.
	stray, err := tlog.NewKey(strings.Split(old, "/")[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file+nextKey, stray.Secret(), 0o600); err != nil {
		t.Fatal(err)
	}
	p.drain(t)
	if published() != vkeys[0] {
		t.Error("a key was published that nobody vouches for")
	}
	// One that was vouched for is taken.
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file, file+nextKey); err != nil {
		t.Fatal(err)
	}
	p.drain(t)
	if again, err := os.ReadFile(file); err != nil || string(again) != string(b) {
		t.Errorf("the next key was not taken: %v", err)
	}
	script(t, 0, "archive", dir, "--vkey", old)
	a, err := New(t.Context(), p.config, nil, console(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ChangeSigningKey(t.Context(), p.config); mail.KindOf(err) != mail.InUse {
		t.Errorf("beside a process that runs: %v", err)
	}
	if err := a.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}
