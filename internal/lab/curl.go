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

// A Served is a message as a server lists it and hands it out.
type Served struct {
	Number int
	Listed int64 // by LIST
	Octets int64 // of RETR, dots unstuffed
	Digest [32]byte
}

// Fetch reads a mailbox with an independent client, curl, and deletes nothing.
func Fetch(t testing.TB, addr, mailbox string) []Served {
	t.Helper()
	all := list(t, addr, mailbox)
	numbers := make([]int, len(all))
	for i, m := range all {
		numbers[i] = m.Number
	}
	for i, raw := range retrieve(t, addr, mailbox, numbers) {
		all[i].Octets, all[i].Digest = int64(len(raw)), sha256.Sum256(raw)
	}
	return all
}

// FetchAll returns the SHA-256 of every message that curl reads from a mailbox
// whose messages are numbered from 1 to count: digest -> how often.
func FetchAll(t testing.TB, addr, mailbox string, count int) map[[32]byte]int {
	t.Helper()
	numbers := make([]int, count)
	for i := range numbers {
		numbers[i] = i + 1
	}
	got := make(map[[32]byte]int, count)
	for _, raw := range retrieve(t, addr, mailbox, numbers) {
		got[sha256.Sum256(raw)]++
	}
	return got
}

// list returns the numbers and sizes that LIST gives.
func list(t testing.TB, addr, mailbox string) []Served {
	t.Helper()
	out := curl(t, mailbox, fmt.Sprintf("url = \"pop3://%s/\"\n", addr))
	var all []Served
	for line := range strings.Lines(out) {
		var m Served
		if line == "\r\n" {
			continue // all there is of an empty list
		}
		if _, err := fmt.Sscanf(line, "%d %d", &m.Number, &m.Listed); err != nil {
			t.Fatalf("LIST: %q: %v", line, err)
		}
		all = append(all, m)
	}
	return all
}

// retrieve yields the bodies of messages, by index into numbers, all read over
// one connection.
func retrieve(t testing.TB, addr, mailbox string, numbers []int) func(func(int, []byte) bool) {
	t.Helper()
	return func(yield func(int, []byte) bool) {
		t.Helper()
		if len(numbers) == 0 {
			return
		}
		dir := t.TempDir()
		var urls strings.Builder
		for _, n := range numbers {
			fmt.Fprintf(&urls, "url = \"pop3://%s/%d\"\noutput = \"%s/%d\"\n", addr, n, dir, n)
		}
		curl(t, mailbox, urls.String())
		for i, n := range numbers {
			raw, err := os.ReadFile(filepath.Join(dir, fmt.Sprint(n)))
			if err != nil {
				t.Fatal(err)
			}
			if !yield(i, raw) {
				return
			}
		}
	}
}

// curl runs curl with a configuration and returns its output.
func curl(t testing.TB, mailbox, config string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "config")
	config = fmt.Sprintf("silent\nshow-error\nfail\nuser = \"%s:%s\"\n%s", mailbox, Password, config)
	if err := os.WriteFile(name, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("curl", "--disable", "--config", name).CombinedOutput()
	if err != nil {
		t.Fatalf("curl: %v\n%s", err, out)
	}
	return string(out)
}
