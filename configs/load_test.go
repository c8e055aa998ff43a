package configs

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/mailkeep/mailkeep/mail"
)

// TestFaults loads one file per mistake and compares what is printed.
func TestFaults(t *testing.T) {
	files, err := filepath.Glob("testdata/faults/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			_, err := Load(Sources{File: file})
			if err == nil {
				t.Fatal("no fault was found")
			}
			if mail.KindOf(err) != mail.Invalid {
				t.Errorf("kind %v", mail.KindOf(err))
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("a fault prints a password")
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".golden", err.Error()+"\n")
		})
	}
}

func TestMissingFile(t *testing.T) {
	_, err := Load(Sources{File: "testdata/no-such.yaml"})
	want := "testdata/no-such.yaml: cannot be read: no such file or directory; check the name and the permissions"
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestExamples(t *testing.T) {
	env := []string{"OFFICE_PASSWORD=x", "SALES_PASSWORD=x", "SUPPORT_PASSWORD=x", "RECEPTION_PASSWORD=x", "JOURNAL_PASSWORD=x", "CONTOSO_SECRET=x", "PEOPLE_SECRET=x", "DIRECTOR_REFRESH=x"}
	files, err := filepath.Glob("examples/*.yaml")
	if err != nil || len(files) < 4 {
		t.Fatalf("examples: %v, %v", files, err)
	}
	for _, file := range files {
		// The container's passwords are mounted there and not here.
		c, err := Load(Sources{File: file, Env: env, SkipSecrets: strings.Contains(file, "container")})
		if err != nil {
			t.Errorf("%s:\n%v", file, err)
		} else if len(c.Resolve()) == 0 {
			t.Errorf("%s has no mailboxes", file)
		}
	}
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func flags(t *testing.T, args ...string) *pflag.FlagSet {
	t.Helper()
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	AddFlags(fs)
	fs.Bool("json", false, "a flag that is no key")
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return fs
}

// TestPrecedence sets a different subset of keys in each source.
func TestPrecedence(t *testing.T) {
	file := write(t, "c.yaml", "log: {level: warn, format: json}\npoll: {window: 7, jitter: 0, logins_per_minute: 9}\narchive: {dir: a}\n")
	c, err := Load(Sources{
		File:  file,
		Env:   []string{"MAILKEEP_LOG_LEVEL=error", "MAILKEEP_POLL_LOGINS_PER_MINUTE=11", "MAILKEEP_HTTP_LISTEN=:1", "OTHER=1", "MAILKEEP_CONFIG=x"},
		Flags: flags(t, "--log-level=debug", "--json"),
	})
	if err != nil {
		t.Fatal(err)
	}
	got := []any{c.Log.Level, c.Log.Format, c.Poll.Window, c.Poll.Jitter, c.Poll.LoginsPerMinute, c.HTTP.Listen, c.Poll.PerHost, c.Archive.Dir}
	want := []any{"debug", "json", 7, 0, 11, ":1", 4, filepath.Join(filepath.Dir(file), "a")}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestFlagDefaultsDoNotOverride guards a flag that nobody gave.
func TestFlagDefaultsDoNotOverride(t *testing.T) {
	c, err := Load(Sources{File: write(t, "c.yaml", "log: {level: warn}"), Flags: flags(t)})
	if err != nil || c.Log.Level != "warn" {
		t.Errorf("level %q, %v", c.Log.Level, err)
	}
}

// TestRelativeNames: a file's names are relative to the file, those of flags and
// environment to the working directory.
func TestRelativeNames(t *testing.T) {
	file := write(t, "c.yaml", "archive: {dir: a}")
	for _, tc := range []struct {
		s    Sources
		want string
	}{
		{Sources{}, "./mailkeep-data"},
		{Sources{File: file}, filepath.Join(filepath.Dir(file), "a")},
		{Sources{File: file, Env: []string{"MAILKEEP_ARCHIVE_DIR=b"}}, "b"},
		{Sources{File: file, Flags: flags(t, "--archive-dir", "c")}, "c"},
	} {
		c, err := Load(tc.s)
		if err != nil || c.Archive.Dir != tc.want {
			t.Errorf("%+v: %q, %v; want %q", tc.s, c.Archive.Dir, err, tc.want)
		}
	}
}

func TestEnvironmentFaults(t *testing.T) {
	file := write(t, "c.yaml", "mailboxes: [{name: a, host: h.example.org, password_env: MAILKEEP_PW_A}]")
	_, err := Load(Sources{File: file, Env: []string{
		"MAILKEEP_PW_A=x", "MAILKEEP_ROLE=poller", "MAILKEEP_POLL_WINDOWS=3", "MAILKEEP_LOG_LEVEL=loud",
		// Kubernetes makes these for a service that is named mailkeep.
		"MAILKEEP_SERVICE_HOST=10.0.0.1", "MAILKEEP_PORT=tcp://10.0.0.1:8025", "MAILKEEP_PORT_8025_TCP_ADDR=10.0.0.1",
	}, Flags: flags(t, "--log-format=xml")})
	want := `--log-format: log.format: "xml" is not one of text, json
MAILKEEP_LOG_LEVEL: log.level: "loud" is not one of debug, info, warn, error
MAILKEEP_POLL_WINDOWS: sets no key; did you mean MAILKEEP_POLL_WINDOW?`
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v", err)
	}
	if fs, ok := errors.AsType[Faults](err); !ok || len(fs) != 3 || fs[0].Key != "log.format" {
		t.Errorf("not Faults: %#v", err)
	}
}

// TestEnvNamesAreUnambiguous: no two keys may share a variable or a flag.
func TestEnvNamesAreUnambiguous(t *testing.T) {
	seen := make(map[string]string)
	shapeOf(reflect.TypeFor[Config](), "").values("", func(key string, _ *shape) {
		for _, name := range []string{envName(key), flagName(key)} {
			if other, ok := seen[name]; ok {
				t.Errorf("%s is %s and %s", name, key, other)
			}
			seen[name] = key
		}
		if isServiceLink(envName(key)) {
			t.Errorf("%s looks like a variable of Kubernetes", envName(key))
		}
	})
	for _, name := range []string{"archive-dir", "log-level", "http-listen"} {
		if _, ok := seen[name]; !ok {
			t.Errorf("flag %s sets no key", name)
		}
	}
}

func TestResolve(t *testing.T) {
	file := write(t, "c.yaml", `
poll: {interval: 20m, window: 5, per_host: 6, jitter: 20}
hosts:
  provider: {address: pop.example.org, security: stls, window: 9, delete: never, logins_per_minute: 3, lf_only: true, ca_file: ""}
  mail.example.net: {interval: 1h, allow_plain: true, security: plain}
mailboxes:
  - {name: a, host: provider, user: u, password_env: P, window: 1, delete: after-seal}
  - {name: b, host: provider, password_env: P}
  - {name: c, host: mail.example.net, password_env: P}
  - {name: d, host: "192.0.2.1:1995", password_env: P}
  - {name: e, host: "2001:db8::1", password_env: P, batch_size: 2MiB}
`)
	c, err := Load(Sources{File: file, Env: []string{"P=secret"}})
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		Name, HostKey, Address, User, Security, Delete string
		Window, PerHost, Logins                        int
		Interval                                       time.Duration
		LFOnly                                         bool
		Batch                                          int64
	}
	var got []row
	for _, m := range c.Resolve() {
		got = append(got, row{m.Name, m.HostKey, m.Address, m.User, m.Security, m.Delete, m.Window, m.PerHost, m.LoginsPerMinute, m.Interval, m.LFOnly, m.BatchSize})
		if pw, err := m.Password.Reveal(); err != nil || pw != "secret" || m.Jitter != 0.2 || m.MaxMessage != 256<<20 || m.BatchTime != 5*time.Minute {
			t.Errorf("%s: %v, %v", m.Name, m, err)
		}
	}
	const batch = 256 << 20
	want := []row{
		{"a", "provider", "pop.example.org:110", "u", "stls", "after-seal", 1, 6, 3, 20 * time.Minute, true, batch},
		{"b", "provider", "pop.example.org:110", "b", "stls", "never", 9, 6, 3, 20 * time.Minute, true, batch},
		{"c", "mail.example.net", "mail.example.net:110", "c", "plain", "after-seal", 5, 6, 30, time.Hour, false, batch},
		{"d", "192.0.2.1:1995", "192.0.2.1:1995", "d", "tls", "after-seal", 5, 6, 30, 20 * time.Minute, false, batch},
		{"e", "[2001:db8::1]:995", "[2001:db8::1]:995", "e", "tls", "after-seal", 5, 6, 30, 20 * time.Minute, false, 2 << 20},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestMailboxesFile reads the same mailboxes from CSV and from YAML.
func TestMailboxesFile(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"pw":     "x\n",
		"m.csv":  "\ufeffname, host ,password_file,window\n# comment\nb,pop.example.org,pw,3\n\"c, d\",pop.example.org,pw,\n",
		"m.yaml": "- {name: b, host: pop.example.org, password_file: pw, window: 3}\n- {name: \"c, d\", host: pop.example.org, password_file: pw}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"m.csv", "m.yaml"} {
		c, err := Load(Sources{Flags: flags(t, "--mailboxes-file", filepath.Join(dir, name))})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all := c.Resolve()
		if len(all) != 2 || all[0].Window != 3 || all[1].Name != "c, d" || all[1].Window != 32 || len(c.Warnings) != 0 {
			t.Errorf("%s: %+v, %v", name, all, c.Warnings)
		}
		if pw, err := all[1].Password.Reveal(); pw != "x" || err != nil {
			t.Errorf("%s: %q, %v", name, pw, err)
		}
	}
}

// TestMergeKeys: anchors let mailboxes share settings; what a mapping says
// itself comes first.
func TestMergeKeys(t *testing.T) {
	file := write(t, "c.yaml", `
hosts:
  a.example.org: &base {security: stls, window: 3}
  b.example.org: {<<: *base, window: 4}
  c.example.org: {window: 5, <<: [*base]}
`)
	c, err := Load(Sources{File: file})
	if err != nil {
		t.Fatal(err)
	}
	for name, window := range map[string]int{"a.example.org": 3, "b.example.org": 4, "c.example.org": 5} {
		if h := c.Hosts[name]; h.Security != "stls" || h.Window != window {
			t.Errorf("%s: %+v", name, h)
		}
	}
}

func TestWarnings(t *testing.T) {
	dir := t.TempDir()
	pw := filepath.Join(dir, "pw")
	if err := os.WriteFile(pw, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(pw, 0o644); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "c.yaml")
	text := "hosts: {provider: {address: pop.example.org}}\nmailboxes:\n- {name: a, host: provder, password_file: pw}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(Sources{File: file})
	if err != nil {
		t.Fatal(err)
	}
	all := c.Warnings.Error()
	if len(c.Warnings) != 2 || !strings.Contains(all, "can be read by others (mode 0644)") || !strings.Contains(all, "did you mean provider?") {
		t.Errorf("warnings:\n%s", all)
	}
	if c, err = Load(Sources{File: file, SkipSecrets: true}); err != nil || strings.Contains(c.Warnings.Error(), "mode") {
		t.Errorf("with SkipSecrets: %v, %v", c.Warnings, err)
	}
}

// TestLargeFileRefused reaches the limit of a file's size.
func TestLargeFileRefused(t *testing.T) {
	file := write(t, "c.yaml", "# "+strings.Repeat("x", maxFile))
	if _, err := Load(Sources{File: file}); err == nil || !strings.Contains(err.Error(), "is larger than 16MiB") {
		t.Errorf("got %v", err)
	}
}

// TestAliasBomb: a small file must not cost much memory or time.
func TestAliasBomb(t *testing.T) {
	var b strings.Builder
	b.WriteString("hosts:\n  h0: &h0 {window: 1}\n")
	for i := range 40 {
		b.WriteString("  h" + strings.Repeat("i", i+1) + ": &h" + strings.Repeat("i", i+1) + " {<<: [*h" +
			map[bool]string{true: "0", false: strings.Repeat("i", i)}[i == 0] + ", *h" + map[bool]string{true: "0", false: strings.Repeat("i", i)}[i == 0] + "]}\n")
	}
	done := make(chan error, 1)
	go func() { _, err := Load(Sources{File: write(t, "c.yaml", b.String())}); done <- err }()
	select {
	case err := <-done:
		if err == nil {
			t.Error("accepted")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("does not end")
	}
}

func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/faults/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(files, "reference.yaml", "examples/many-mailboxes.yaml") {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	file := filepath.Join(f.TempDir(), "c.yaml")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(Sources{File: file, SkipSecrets: true})
		switch {
		case err == nil:
			c.Resolve()
		case err.Error() == "" || mail.KindOf(err) != mail.Invalid:
			t.Errorf("%#v", err)
		case strings.ContainsAny(err.Error(), "\x00\x1b\r"):
			t.Errorf("control characters in %q", err.Error())
		}
	})
}

func FuzzCSV(f *testing.F) {
	f.Add([]byte("name,host\na,b\n"))
	f.Add([]byte("\ufeffname,\"host\"\n\"a\nb\",c,d\n"))
	file := filepath.Join(f.TempDir(), "m.csv")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(Sources{Env: []string{"MAILKEEP_MAILBOXES_FILE=" + file}, SkipSecrets: true})
		if err != nil && mail.KindOf(err) != mail.Invalid {
			t.Errorf("%#v", err)
		}
	})
}

func BenchmarkLoad5000Mailboxes(b *testing.B) {
	var text strings.Builder
	text.WriteString("name,host,password_env\n")
	for i := range 5000 {
		text.WriteString("box" + time.Duration(i).String() + ",pop.example.org,P\n")
	}
	file := filepath.Join(b.TempDir(), "m.csv")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Load(Sources{Env: []string{"P=x", "MAILKEEP_MAILBOXES_FILE=" + file}}); err != nil {
			b.Fatal(err)
		}
	}
}
