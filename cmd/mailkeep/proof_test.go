package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/tlog"
)

// goldenProof makes the proof of a message of the golden archive of sink/tlog.
func goldenProof(t *testing.T) (b tlog.Bundle, message, vkey string) {
	t.Helper()
	root, err := durable.OpenDir("../../sink/tlog/testdata/archive")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	files, err := root.Sub("tlog/0000")
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	published, err := durable.ReadFile(root, tlog.VKeyName)
	if err != nil {
		t.Fatal(err)
	}
	vkey = strings.TrimSpace(string(published))
	origin, _, _ := strings.Cut(vkey, "+")
	trust, err := tlog.NewTrust(origin, vkey)
	if err != nil {
		t.Fatal(err)
	}
	v := tlog.NewView(files, trust)
	c, err := v.Latest()
	if err != nil {
		t.Fatal(err)
	}
	proof, err1 := v.Inclusion(1, c)
	leaf, err2 := v.Leaf(1, c)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	message = "From: clerk-0@example.org\r\nSubject: offer 0\r\n\r\nItem 0 costs 0.\r\n"
	return tlog.Bundle{
		ID: mail.ID{Seq: 1}, Origin: origin, Key: vkey, Leaf: leaf, Proof: string(proof.Marshal()),
		Opening: tlog.Opening{Digest: mail.DigestOf([]byte(message)), Size: uint64(len(message))},
	}, message, vkey
}

// TestProof writes a proof with its script, and checks it; nothing is
// overwritten, and no other message, key or proof is taken.
func TestProof(t *testing.T) {
	b, message, vkey := goldenProof(t)
	dir := t.TempDir()
	name := func(base string) string { return filepath.Join(dir, base) }
	if status, _, stderr := execute(t, opens(&fakeClient{bundle: b}), "proof", "0-1", "--out", name("proof.json")); status != 0 {
		t.Fatalf("%d, %s", status, stderr)
	}
	if script, err := os.ReadFile(name("verify.py")); err != nil || string(script) != string(tlog.Script) {
		t.Errorf("verify.py: %v", err)
	}
	if status, _, _ := execute(t, opens(&fakeClient{bundle: b}), "proof", "0-1", "--out", name("proof.json")); status != 2 {
		t.Errorf("a proof was overwritten: status %d", status)
	}
	text, err := os.ReadFile(name("proof.json"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := tlog.NewKey("5ea1ed00-0000-4000-8000-000000000000")
	if err != nil {
		t.Fatal(err)
	}
	for base, content := range map[string]string{
		"message.eml": message, "other.eml": message + "\n", "vkey": vkey + "\n", "text.json": "{}",
		"altered.json": strings.Replace(string(text), `"size": `, `"size": 1`, 1),
	} {
		if err := os.WriteFile(name(base), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		want int
		args []string
	}{
		{0, []string{"--vkey", vkey, name("proof.json")}},
		{0, []string{"--vkey", name("vkey"), name("proof.json"), name("message.eml")}},
		{4, []string{"--vkey", vkey, name("proof.json"), name("other.eml")}},
		{4, []string{"--vkey", vkey, name("altered.json")}},
		{4, []string{"--vkey", other.VKey(0), name("proof.json")}},
		{2, []string{"--vkey", vkey, name("text.json")}},
		{2, []string{"--vkey", vkey, name("message.eml")}},
		{1, []string{"--vkey", vkey, name("nothing.json")}},
		{6, []string{name("proof.json")}}, // no archive, and so no key
	} {
		status, stdout, stderr := execute(t, application{}, append([]string{"proof", "--check"}, tc.args...)...)
		if status != tc.want || tc.want == 0 && !strings.Contains(stdout, "is in the archive's log") {
			t.Errorf("%v: status %d, %s%s", tc.args, status, stdout, stderr)
		}
	}
}

func TestNewKeyPrintsTheKeys(t *testing.T) {
	a := application{NewKey: func(context.Context, *configs.Config) ([]string, error) { return []string{"one", "two"}, nil }}
	if status, stdout, _ := execute(t, a, "newkey"); status != 0 || stdout != "one\ntwo\n" {
		t.Errorf("%d, %q", status, stdout)
	}
}
