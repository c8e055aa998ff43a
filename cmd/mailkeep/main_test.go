package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mailkeep/mailkeep/internal/app"
	"github.com/mailkeep/mailkeep/internal/bus/bustest"
	"github.com/mailkeep/mailkeep/internal/lab"
)

var update = flag.Bool("update", false, "write the golden files")

// TestMain lets the test binary stand in for the program, for the processes that
// read documents, and for a NATS server
// that can be killed.
func TestMain(m *testing.M) {
	if status, ours := app.ExtractWorker(os.Args); ours {
		os.Exit(status)
	}
	testscript.Main(tests{m}, map[string]func(){"mailkeep": profiled})
}

// profiled is main; where the environment names directories, it leaves a CPU
// profile of each process in one, and a copy of all that the process prints in
// the other.
func profiled() {
	stdout, stderr := copied(os.Stdout), copied(os.Stderr)
	dir := os.Getenv("TEST_PROFILES")
	if dir == "" {
		os.Exit(run(os.Args[1:], stdout, stderr, os.Environ(), wire()))
	}
	f, err := os.CreateTemp(dir, "*.pprof")
	if err == nil {
		err = pprof.StartCPUProfile(f)
	}
	if err != nil {
		log.Fatal(err)
	}
	status := run(os.Args[1:], stdout, stderr, os.Environ(), wire())
	pprof.StopCPUProfile()
	os.Exit(status)
}

// outputDir names the directory of copies to the processes of a test run.
const outputDir = "TEST_OUTPUT"

// copied returns w, or a writer to it and to a file of this process.
func copied(w *os.File) io.Writer {
	dir := os.Getenv(outputDir)
	if dir == "" {
		return w
	}
	f, err := os.CreateTemp(dir, filepath.Base(w.Name())+"-*")
	if err != nil {
		log.Fatal(err)
	}
	return io.MultiWriter(w, f)
}

// tests runs the tests, or the NATS server that one of them has started. What
// the processes of all tests print is searched for the lab's passwords when they
// are done. Benchmarks print to nobody but themselves.
type tests struct{ m *testing.M }

func (t tests) Run() int {
	flag.Parse()
	if os.Getenv(outputDir) != "" || flag.Lookup("test.bench").Value.String() != "" {
		return bustest.Main(t.m)
	}
	dir, err := os.MkdirTemp("", "mailkeep-output-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	os.Setenv(outputDir, dir)
	status := bustest.Main(t.m)
	if leaks := searchOutput(dir); len(leaks) > 0 {
		fmt.Fprintln(os.Stderr, "FAIL: a process of the tests printed a password:\n"+strings.Join(leaks, "\n"))
		return 1
	}
	return status
}

// searchOutput returns where the lab's passwords stand in the files of dir.
func searchOutput(dir string) (found []string) {
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			log.Fatal(err)
		}
		for _, l := range lab.Leaks(text, lab.Secrets()...) {
			line := strings.Split(string(text), "\n")[l.Line-1]
			found = append(found, l.String()+": "+line)
		}
	}
	return found
}

func TestOutputIsSearched(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"stderr-1": "level=DEBUG msg=fine\nlevel=DEBUG msg=PASS arg=" + lab.Password + "\n", "stdout-1": "nothing\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if found := searchOutput(dir); len(found) != 1 || !strings.Contains(found[0], "line 2") {
		t.Errorf("a password that was planted: %q", found)
	}
	if os.Getenv(outputDir) != "" {
		s := emptySite(t)
		s.configure("")
		before, _ := filepath.Glob(filepath.Join(os.Getenv(outputDir), "*"))
		s.run(2, "drain")
		if after, _ := filepath.Glob(filepath.Join(os.Getenv(outputDir), "*")); len(after) < len(before)+2 {
			t.Error("the output of a process is not copied")
		}
	}
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata",
		UpdateScripts: *update,
		Cmds:          map[string]func(*testscript.TestScript, bool, []string){"status": scriptStatus},
		Setup: func(e *testscript.Env) error {
			e.Setenv("NO_COLOR", "1")
			return nil
		},
	})
}

// scriptStatus runs "mailkeep ARGS..." in this process and compares the exit
// status: status 2 config chek. Its output is not kept; scripts that look at
// it use exec.
func scriptStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: status N arg...")
	}
	p := map[string]int{"0": exitOK, "1": exitFailure, "2": exitUsage}
	want, ok := p[args[0]]
	if !ok {
		ts.Fatalf("status %s is not one that a script can cause", args[0])
	}
	env := []string{"MAILKEEP_CONFIG=" + ts.MkAbs("mailkeep.yaml"), "OFFICE_PASSWORD=x"}
	if got := run(args[1:], ts.Stdout(), ts.Stderr(), env, application{}); got != want {
		ts.Fatalf("status %d, want %d", got, want)
	}
}

// golden compares got with a file under testdata/golden, or writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s differs; if that is meant, run go test -update:\n%s", name, d)
	}
}
