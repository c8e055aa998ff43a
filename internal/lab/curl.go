package lab

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// FetchAll returns the SHA-256 of every message that an independent client,
// curl, reads from a mailbox: digest -> how often. Nothing is deleted.
func FetchAll(t testing.TB, addr, mailbox string, count int) map[[32]byte]int {
	t.Helper()
	dir := t.TempDir()
	var conf strings.Builder
	fmt.Fprintf(&conf, "silent\nshow-error\nfail\nuser = \"%s:%s\"\n", mailbox, Password)
	for n := 1; n <= count; n++ {
		fmt.Fprintf(&conf, "url = \"pop3://%s/%d\"\noutput = \"%s/%d\"\n", addr, n, dir, n)
	}
	name := filepath.Join(dir, "config")
	if err := os.WriteFile(name, []byte(conf.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if count > 0 {
		if out, err := exec.Command("curl", "--disable", "--config", name).CombinedOutput(); err != nil {
			t.Fatalf("curl: %v\n%s", err, out)
		}
	}
	got := make(map[[32]byte]int, count)
	for n := 1; n <= count; n++ {
		b, err := os.ReadFile(filepath.Join(dir, fmt.Sprint(n)))
		if err != nil {
			t.Fatal(err)
		}
		got[sha256.Sum256(b)]++
	}
	return got
}
