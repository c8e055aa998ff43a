package lab

import (
	"context"
	"crypto/sha256"
	_ "embed" // reader.py
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A Served is a message as a server lists it and hands it out.
type Served struct {
	Number int
	Listed int64 // by LIST
	Octets int64 // of RETR, dots unstuffed
	Digest [32]byte
}

// Fetch reads a mailbox with a reader in Python, which shares nothing with ours
// and speaks the UTF8 mode of RFC 6856 where it is offered: Courier serves mail
// with 8-bit headers as it is only there. Nothing is deleted.
func Fetch(t testing.TB, addr, mailbox string) []Served {
	t.Helper()
	dir := t.TempDir()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	var errs strings.Builder
	cmd := exec.Command("python3", "-c", reader, host, port, mailbox, Password, dir)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("reader.py: %v\n%s", err, errs.String())
	}
	all := parseList(t, string(out))
	measure(t, all, dir)
	return all
}

// FetchCurl is Fetch by curl.
func FetchCurl(t testing.TB, addr, mailbox string) []Served {
	t.Helper()
	all := parseList(t, curl(t, mailbox, fmt.Sprintf("url = \"pop3://%s/\"\n", addr)))
	numbers := make([]int, len(all))
	for i, m := range all {
		numbers[i] = m.Number
	}
	measure(t, all, retrieve(t, addr, mailbox, numbers))
	return all
}

//go:embed reader.py
var reader string

// FetchAll returns the SHA-256 of every message that curl reads from a mailbox
// whose messages are numbered from 1 to count: digest -> how often.
func FetchAll(t testing.TB, addr, mailbox string, count int) map[[32]byte]int {
	t.Helper()
	numbers := make([]int, count)
	for i := range numbers {
		numbers[i] = i + 1
	}
	all := make([]Served, count)
	for i, n := range numbers {
		all[i].Number = n
	}
	measure(t, all, retrieve(t, addr, mailbox, numbers))
	got := make(map[[32]byte]int, count)
	for _, m := range all {
		got[m.Digest]++
	}
	return got
}

// parseList reads the lines of LIST.
func parseList(t testing.TB, text string) []Served {
	t.Helper()
	var all []Served
	for line := range strings.Lines(text) {
		var m Served
		if line == "\r\n" {
			continue // all that curl prints of an empty list
		}
		if _, err := fmt.Sscanf(line, "%d %d", &m.Number, &m.Listed); err != nil {
			t.Fatalf("LIST: %q: %v", line, err)
		}
		all = append(all, m)
	}
	return all
}

// measure fills in what the files of a directory say, which are named by the
// numbers of the messages.
func measure(t testing.TB, all []Served, dir string) {
	t.Helper()
	for i, m := range all {
		raw, err := os.ReadFile(filepath.Join(dir, fmt.Sprint(m.Number)))
		if err != nil {
			t.Fatal(err)
		}
		all[i].Octets, all[i].Digest = int64(len(raw)), sha256.Sum256(raw)
	}
}

// retrieve reads messages over one connection into files of a directory.
func retrieve(t testing.TB, addr, mailbox string, numbers []int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if len(numbers) == 0 {
		return dir
	}
	var urls strings.Builder
	for _, n := range numbers {
		fmt.Fprintf(&urls, "url = \"pop3://%s/%d\"\noutput = \"%s/%d\"\n", addr, n, dir, n)
	}
	curl(t, mailbox, urls.String())
	return dir
}

// curl runs curl with a configuration and returns its output. A message that
// has no end would keep it for ever.
func curl(t testing.TB, mailbox, config string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "config")
	config = fmt.Sprintf("silent\nshow-error\nfail\nuser = \"%s:%s\"\n%s", mailbox, Password, config)
	if err := os.WriteFile(name, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "curl", "--disable", "--config", name).CombinedOutput()
	if err != nil {
		t.Fatalf("curl: %v\n%s", err, out)
	}
	return string(out)
}
