package lab

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// A Gateway is a running S3 server with versions and Object Lock (versitygw) on
// loopback, over plain HTTP. Its fields are for reading.
type Gateway struct {
	URL            string
	Access, Secret string // of its administrator
	Buckets        string // directory; a directory that is made in it is a bucket without Object Lock
}

// StartGateway starts a server without buckets and stops it when the test ends. The
// first test builds it, from the module in internal/tools/versitygw, which takes two
// minutes, and keeps the program in the user's directory of caches.
func StartGateway(t testing.TB) *Gateway {
	t.Helper()
	bin := gatewayProgram(t)
	dir := t.TempDir()
	versions := filepath.Join(dir, "versions")
	g := &Gateway{Access: "mailkeep-test", Secret: Password + "-gateway", Buckets: filepath.Join(dir, "buckets")}
	for _, d := range []string{g.Buckets, versions} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	addr := freePort(t)
	cmd := exec.Command(bin, "--port", addr, "--health", "/healthz", "--quiet", "--keep-alive", "posix", "--versioning-dir", versions, g.Buckets)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY_ID="+g.Access, "ROOT_SECRET_ACCESS_KEY="+g.Secret)
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	log := filepath.Join(dir, "gateway.log")
	start(t, cmd, log)
	g.URL = "http://" + addr
	until(t, log, g.answers)
	return g
}

func (g *Gateway) answers(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.URL+"/healthz", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close() //nolint:errcheck // it was only a question
	return resp.StatusCode == http.StatusOK
}

// gatewayProgram returns the program, built from the version that the module of
// tools names.
func gatewayProgram(t testing.TB) string {
	t.Helper()
	module := gatewayModule(t)
	b, err := os.ReadFile(filepath.Join(module, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`github\.com/versity/versitygw (v\S+)`).FindSubmatch(b)
	if version == nil {
		t.Fatalf("%s/go.mod names no version of versitygw", module)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "mailkeep-tests")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, fmt.Sprintf("versitygw-%s-%s", version[1], runtime.Version()))
	defer lockFile(t, bin+".lock")()
	if _, err := os.Stat(bin); err == nil {
		return bin
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin+".tmp", "github.com/versity/versitygw/cmd/versitygw")
	build.Dir, build.Env = module, append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the S3 gateway, without which the store is not tested, cannot be built in %s: %v\n%s", module, err, out)
	}
	if err := os.Rename(bin+".tmp", bin); err != nil {
		t.Fatal(err)
	}
	return bin
}

func gatewayModule(t testing.TB) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOMOD").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(filepath.Dir(strings.TrimSpace(string(out))), "internal", "tools", "versitygw")
}

// lockFile waits for the lock of a file, which another package's tests may hold
// while they build, and returns how to give it back.
func lockFile(t testing.TB, name string) func() {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	return func() { f.Close() }
}
