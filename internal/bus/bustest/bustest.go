// Package bustest runs a NATS server as a process of its own for tests, so that
// it can be killed and started again on its store.
//
// The process is the test binary itself: a test package that wants servers
// calls Main from its TestMain, which becomes the server when SpawnServer has
// started it as one.
package bustest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// The environment of a server process.
const (
	envDir  = "MAILKEEP_BUSTEST_DIR"
	envPort = "MAILKEEP_BUSTEST_PORT"
)

// Main runs the tests and returns the exit status; in a process that
// SpawnServer started it runs the server instead and returns when its standard
// input ends. Call it as
//
//	func TestMain(m *testing.M) { os.Exit(bustest.Main(m)) }
func Main(m *testing.M) int {
	dir := os.Getenv(envDir)
	if dir == "" {
		return m.Run()
	}
	if err := serve(dir, os.Getenv(envPort)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func serve(dir, port string) error {
	n, err := strconv.Atoi(port)
	if err != nil {
		return fmt.Errorf("read the port: %w", err)
	}
	ns, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: n, NoLog: true, NoSigs: true, MaxPayload: 8 << 20,
		JetStream: true, StoreDir: dir, JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: 4 << 30,
	})
	if err != nil {
		return err
	}
	ns.Start()
	if !ns.ReadyForConnections(20 * time.Second) {
		return fmt.Errorf("the server did not start")
	}
	fmt.Println(ns.Addr())
	// The end of the parent, however it dies, ends this process.
	_, err = io.Copy(io.Discard, os.Stdin)
	ns.Shutdown()
	ns.WaitForShutdown()
	return err
}

// A Server is a NATS server with JetStream in a process of its own, on a
// loopback port and a store directory that it keeps over Kill and Restart.
type Server struct {
	URL string
	Dir string // of the store

	t    testing.TB
	port string
	cmd  *exec.Cmd
	in   io.Closer
}

// SpawnServer starts a server that ends with the test.
func SpawnServer(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t, Dir: t.TempDir(), port: freePort(t)}
	s.Restart()
	t.Cleanup(s.Kill)
	return s
}

// freePort asks the kernel for a port that nobody uses now; the server needs
// the same one after a restart.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// Restart starts the server again after a Kill and waits until it answers.
func (s *Server) Restart() {
	s.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	s.cmd = exec.Command(exe)
	s.cmd.Env = append(os.Environ(), envDir+"="+s.Dir, envPort+"="+s.port)
	s.cmd.Stderr = os.Stderr
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		s.t.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		s.Kill()
		s.t.Fatalf("the server did not start: %v", err)
	}
	s.URL = "nats://" + strings.TrimSpace(addr)
}

// Kill ends the process with SIGKILL and waits for it; a second Kill does
// nothing.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	s.cmd.Process.Kill() //nolint:errcheck // it may be dead
	s.cmd.Wait()         //nolint:errcheck // killed
	s.in.Close()         //nolint:errcheck // closed by Wait
	s.cmd = nil
}
