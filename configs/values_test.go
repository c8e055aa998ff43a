package configs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

func TestSize(t *testing.T) {
	for in, want := range map[string]Size{
		"0": 0, "17": 17, "17B": 17, "500k": 500_000, "500kB": 500_000, "64MiB": 64 << 20, "64mi": 64 << 20,
		"64 MiB": 64 << 20, "1GB": 1e9, "1.5GiB": 3 << 29, "0.5k": 500, "2TiB": 2 << 40, "1T": 1e12,
		"9007199254740993": 9007199254740993, "9223372036854775807": 1<<63 - 1,
	} {
		var s Size
		if err := s.UnmarshalText([]byte(in)); err != nil || s != want {
			t.Errorf("%q: %d, %v; want %d", in, s, err, want)
		}
	}
	for _, in := range []string{"", "M", "-1", "1e3", "1 2", "0x10", "1X", "1MiBB", "1.2.3k", "9223372036854775808", "8388608TiB", "inf", "NaN", "١"} {
		var s Size
		if err := s.UnmarshalText([]byte(in)); err == nil {
			t.Errorf("%q: accepted as %d", in, s)
		}
	}
	for in, want := range map[Size]string{0: "0", 1: "1B", 1000: "1kB", 1024: "1KiB", 256 << 20: "256MiB", 500_000: "500kB", 1e9: "1GB"} {
		if got := in.String(); got != want {
			t.Errorf("%d: %s, want %s", int64(in), got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for in, want := range map[string]string{
		"90s": "1m30s", "15m": "15m", "1h30m": "1h30m", "2h": "2h", "0": "0s", "1.5h": "1h30m", "10s": "10s", "720h": "720h", "1h0m5s": "1h0m5s",
		"30d": "720h", "1d12h": "36h", "0d": "0s",
	} {
		var d Duration
		if err := d.UnmarshalText([]byte(in)); err != nil || d.String() != want {
			t.Errorf("%q: %s, %v; want %s", in, d, err, want)
		}
	}
	for _, in := range []string{"", "15", "soon", "-1s", "d", "1.5d", "-1d", "1d-1h", "1d+1h", "1d12", "99999d", "999999h"} {
		var d Duration
		if err := d.UnmarshalText([]byte(in)); err == nil {
			t.Errorf("%q: accepted as %s", in, d)
		}
	}
}

func FuzzSize(f *testing.F) {
	for _, s := range []string{"64MiB", "1.5k", "9223372036854775807", "-1", "0.1TiB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		var a, b Size
		if a.UnmarshalText([]byte(in)) != nil {
			return
		}
		if err := b.UnmarshalText([]byte(a.String())); a < 0 || err != nil || a != b {
			t.Errorf("%q: %d, prints as %s, reads as %d, %v", in, int64(a), a, int64(b), err)
		}
	})
}

func FuzzDuration(f *testing.F) {
	for _, s := range []string{"15m", "1h0m0.5s", "-3ns", "87600h", "3650d", "1d1d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		var a, b Duration
		if a.UnmarshalText([]byte(in)) != nil {
			return
		}
		if err := b.UnmarshalText([]byte(a.String())); a < 0 || err != nil || a != b {
			t.Errorf("%q: prints as %s, reads as %s, %v", in, a, time.Duration(b), err)
		}
	})
}

// TestSecretIsNeverPrinted tries every way in which a value ends up in a log.
func TestSecretIsNeverPrinted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hunter2-file")
	if err := os.WriteFile(file, []byte("hunter2\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	lookup := func(string) (string, bool) { return "hunter2", true }
	for _, s := range []Secret{SecretFile(file), SecretEnv("PW", lookup)} {
		if got, err := s.Reveal(); got != "hunter2" || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
		var out bytes.Buffer
		fmt.Fprintf(&out, "%v %+v %#v %s %q %x %d", s, s, s, s, s, s, s)
		fmt.Fprintf(&out, "%+v %#v", ResolvedMailbox{Password: s}, &ResolvedMailbox{Password: s})
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "secret", s, "box", ResolvedMailbox{Password: s})
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "secret", s, "box", ResolvedMailbox{Password: s})
		if err := json.NewEncoder(&out).Encode(map[string]any{"a": s, "b": ResolvedMailbox{Password: s}}); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), "hunter2") || !strings.Contains(out.String(), hidden) {
			t.Errorf("printed: %s", out.String())
		}
	}
}

// TestSecretIsReadAnew: a rotated password takes effect without a restart.
func TestSecretIsReadAnew(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pw")
	s := SecretFile(file)
	for _, want := range []string{"one", "two"} {
		if err := os.WriteFile(file, []byte(want+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Reveal(); got != want || err != nil {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
}

func TestSecretFaults(t *testing.T) {
	dir := t.TempDir()
	file := func(text string) Secret {
		name := filepath.Join(dir, fmt.Sprint(len(text)))
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return SecretFile(name)
	}
	unset := func(string) (string, bool) { return "", false }
	for name, tc := range map[string]struct {
		s    Secret
		kind mail.Kind
	}{
		"zero":      {Secret{}, mail.Invalid},
		"missing":   {SecretFile(filepath.Join(dir, "none")), mail.NotFound},
		"unset":     {SecretEnv("PW", unset), mail.NotFound},
		"empty":     {file("\n"), mail.Invalid},
		"two lines": {file("PASS a\r\nDELE 1"), mail.Invalid},
		"too long":  {file(strings.Repeat("x", maxSecret+1)), mail.Invalid},
	} {
		if got, err := tc.s.Reveal(); got != "" || mail.KindOf(err) != tc.kind {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if pw, err := file(" spaces stay \n").Reveal(); pw != " spaces stay " || err != nil {
		t.Errorf("%q, %v", pw, err)
	}
}

func TestClip(t *testing.T) {
	for in, want := range map[string]string{
		"a\x1b[31m\nb": "a\uFFFD[31m\uFFFDb", strings.Repeat("é", 40): strings.Repeat("é", 32) + "…", "x": "x",
	} {
		if got := clip(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}
