package main

import (
	"flag"
	"log"
	"os"
	"path/filepath"
	"runtime/pprof"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mailkeep/mailkeep/internal/bus/bustest"
)

var update = flag.Bool("update", false, "write the golden files")

// TestMain lets the test binary stand in for the program, and for a NATS server
// that can be killed.
func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){"mailkeep": profiled})
}

// profiled is main; where the environment names a directory, it leaves a CPU
// profile of each process there.
func profiled() {
	dir := os.Getenv("TEST_PROFILES")
	if dir == "" {
		main()
	}
	f, err := os.CreateTemp(dir, "*.pprof")
	if err == nil {
		err = pprof.StartCPUProfile(f)
	}
	if err != nil {
		log.Fatal(err)
	}
	status := run(os.Args[1:], os.Stdout, os.Stderr, os.Environ(), wire())
	pprof.StopCPUProfile()
	os.Exit(status)
}

// tests runs the tests, or the NATS server that one of them has started.
type tests struct{ m *testing.M }

func (t tests) Run() int { return bustest.Main(t.m) }

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
