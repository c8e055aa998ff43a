package pop3test_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// talk sends the script to a fresh session of s and returns all that it says.
func talk(t *testing.T, s *pop3test.Server, script ...string) string {
	t.Helper()
	client, server := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- s.ServeConn(t.Context(), server) }()
	go func() {
		for _, line := range script {
			if _, err := io.WriteString(client, line+"\r\n"); err != nil {
				return
			}
		}
	}()
	client.SetReadDeadline(time.Now().Add(5 * time.Second))
	said, err := io.ReadAll(bufio.NewReader(client))
	if err != nil {
		t.Fatalf("read: %v after %q", err, said)
	}
	client.Close()
	if err := <-done; err != nil {
		t.Errorf("ServeConn: %v", err)
	}
	return string(said)
}

func newServer() *pop3test.Server {
	return &pop3test.Server{Mailboxes: map[string]*pop3test.Mailbox{
		"ann": {Password: "secret", Messages: pop3test.Messages("A: 1\r\n\r\nx\r\n.y\r\n", "B: 2\r\n\r\nlast")},
	}}
}

func TestSession(t *testing.T) {
	s := newServer()
	got := talk(t, s, "CAPA", "STAT", "USER ann", "PASS secret", "STAT", "LIST", "LIST 2", "UIDL", "UIDL 1",
		"TOP 1 0", "TOP 1 1", "RETR 1", "RETR 2", "RETR 3", "DELE 2", "DELE 2", "LIST", "NOOP", "QUIT")
	want := strings.Join([]string{"+OK pop3test ready",
		"+OK", "TOP", "USER", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE", "EXPIRE NEVER", "IMPLEMENTATION pop3test", "UIDL", ".",
		"-ERR not in this state", "+OK", "+OK", "+OK 2 29",
		"+OK", "1 15", "2 14", ".", "+OK 2 14", "+OK", "1 u1", "2 u2", ".", "+OK 1 u1",
		"+OK", "A: 1", "", ".", "+OK", "A: 1", "", "x", ".",
		"+OK 15 octets", "A: 1", "", "x", "..y", ".", "+OK 14 octets", "B: 2", "", "last", ".",
		"-ERR no such message", "+OK", "-ERR no such message", "+OK", "1 15", ".", "+OK", "+OK", ""}, "\r\n")
	if got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
	if d := s.Deleted(); len(d) != 1 || d[0].UIDL != "u2" || d[0].User != "ann" {
		t.Errorf("deleted %v", d)
	}
	for _, c := range s.Commands() {
		if strings.Contains(c.Line(), "secret") {
			t.Errorf("recorded the password: %q", c.Line())
		}
	}
}

func TestWithoutQuitNothingIsDeleted(t *testing.T) {
	s := newServer()
	s.SetHooks(pop3test.Hooks{MaxCommands: 3})
	talk(t, s, "USER ann", "PASS secret", "DELE 1", "NOOP")
	s.SetHooks(pop3test.Hooks{})
	talk(t, s, "USER ann", "PASS secret", "DELE 1", "RSET", "QUIT")
	if d := s.Deleted(); len(d) != 0 {
		t.Errorf("deleted %v", d)
	}
}

func TestLock(t *testing.T) {
	s := newServer()
	client, server := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- s.ServeConn(t.Context(), server) }()
	r := bufio.NewReader(client)
	r.ReadString('\n')
	for _, line := range []string{"USER ann\r\n", "PASS secret\r\n"} {
		io.WriteString(client, line)
		r.ReadString('\n')
	}
	if got := talk(t, s, "USER ann", "PASS secret", "QUIT"); !strings.Contains(got, "-ERR [IN-USE]") {
		t.Errorf("a second session: %q", got)
	}
	client.Close()
	<-done
	if got := talk(t, s, "USER ann", "PASS secret", "QUIT"); strings.Contains(got, "-ERR") {
		t.Errorf("after the first has gone: %q", got)
	}
}

func TestBadInputIsBounded(t *testing.T) {
	s := newServer()
	got := talk(t, s, strings.Repeat("x", 100_000), strings.Repeat("NONSENSE\r\n", 40))
	if n := strings.Count(got, "-ERR"); n != 21 {
		t.Errorf("%d refusals before it hung up: %q", n, got)
	}
}

func TestFaults(t *testing.T) {
	login := []string{"USER ann", "PASS secret"}
	for name, c := range map[string]struct {
		hooks  pop3test.Hooks
		script []string
		want   string // a suffix
		left   int
	}{
		"cut":           {pop3test.Hooks{Cut: func(int) (int64, pop3test.Ending) { return 25, pop3test.FIN }}, []string{"NOOP"}, "+OK pop3test ready\r\n+OK\r\n", 2},
		"lie":           {pop3test.Hooks{Quit: pop3test.QuitLie}, []string{"DELE 1", "QUIT"}, "+OK\r\n+OK\r\n", 2},
		"refused":       {pop3test.Hooks{Quit: pop3test.QuitRefused}, []string{"DELE 1", "QUIT"}, "-ERR messages not removed\r\n", 2},
		"drop before":   {pop3test.Hooks{Quit: pop3test.QuitDropBefore}, []string{"DELE 1", "QUIT"}, "+OK\r\n", 2},
		"drop after":    {pop3test.Hooks{Quit: pop3test.QuitDropAfter}, []string{"DELE 1", "QUIT"}, "+OK\r\n", 1},
		"half":          {pop3test.Hooks{Quit: pop3test.QuitHalf}, []string{"DELE 1", "DELE 2", "QUIT"}, "-ERR some messages not removed\r\n", 1},
		"some":          {pop3test.Hooks{Quit: pop3test.QuitSome}, []string{"DELE 1", "DELE 2", "QUIT"}, "+OK\r\n", 1},
		"at once":       {pop3test.Hooks{DeleteAtOnce: true, MaxCommands: 3}, []string{"DELE 1", "NOOP"}, "+OK\r\n", 1},
		"retr deletes":  {pop3test.Hooks{RetrDeletes: true}, []string{"RETR 1", "QUIT"}, ".\r\n+OK\r\n", 1},
		"retr hides":    {pop3test.Hooks{RetrHides: true}, []string{"RETR 1", "DELE 1", "QUIT"}, "+OK\r\n", 2},
		"no stuffing":   {pop3test.Hooks{NoDotStuffing: true}, []string{"RETR 1", "QUIT"}, "x\r\n.y\r\n.\r\n+OK\r\n", 2},
		"no final CRLF": {pop3test.Hooks{NoFinalCRLF: true}, []string{"RETR 2", "QUIT"}, "last.\r\n+OK\r\n", 2},
		"junk":          {pop3test.Hooks{AfterBody: "junk"}, []string{"RETR 1", "QUIT"}, ".\r\njunk+OK\r\n", 2},
		"LF only":       {pop3test.Hooks{LFOnly: true}, []string{"RETR 1", "QUIT"}, "A: 1\n\nx\n..y\n.\n+OK\n", 2},
		"quota":         {pop3test.Hooks{MaxRetr: 1}, []string{"RETR 1", "RETR 2", "QUIT"}, "quota exceeded\r\n+OK\r\n", 2},
		"sizes":         {pop3test.Hooks{ListSize: func(int, int64) string { return "-1" }}, []string{"LIST", "QUIT"}, "1 -1\r\n2 -1\r\n.\r\n+OK\r\n", 2},
		"short body":    {pop3test.Hooks{Body: func(int, []byte) []byte { return []byte("A") }}, []string{"RETR 1", "QUIT"}, "+OK 15 octets\r\nA\r\n.\r\n+OK\r\n", 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer()
			c.hooks.Segment = 3
			s.SetHooks(c.hooks)
			if got := talk(t, s, append(login, c.script...)...); !strings.HasSuffix(got, c.want) {
				t.Errorf("%q does not end in %q", got, c.want)
			}
			if n := len(s.Mailboxes["ann"].Left()); n != c.left {
				t.Errorf("%d messages left, want %d", n, c.left)
			}
		})
	}
}

func TestDelayAndIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.SetHooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
			return &pop3test.Action{Delay: time.Minute, Raw: "+OK slow\r\n"}
		}})
		client, server := net.Pipe()
		done := make(chan error, 1)
		go func() { done <- s.ServeConn(t.Context(), server) }()
		r := bufio.NewReader(client)
		r.ReadString('\n')
		start := time.Now()
		io.WriteString(client, "NOOP\r\n")
		if line, _ := r.ReadString('\n'); line != "+OK slow\r\n" || time.Since(start) != time.Minute {
			t.Errorf("%q after %v", line, time.Since(start))
		}
		if _, err := r.ReadString('\n'); err != io.EOF || time.Since(start) != 11*time.Minute {
			t.Errorf("autologout: %v after %v", err, time.Since(start))
		}
		<-done
	})
}

func TestServeStops(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- newServer().Serve(ctx, l) }()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.HasPrefix(line, "+OK") {
		t.Fatalf("%q, %v", line, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

// FuzzServer sends arbitrary octets to a server with and without a login: it
// must not panic, must end when the client has gone, and must not delete without
// QUIT.
func FuzzServer(f *testing.F) {
	for _, s := range []string{"CAPA\r\nQUIT\r\n", "DELE 1\r\n", "RETR 99999999999999999999\r\nTOP 1 -1\r\n", "\x00\xff\r\n\n\r\n", "LIST 0\r\nUIDL x\r\nSTLS\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, input string) {
		s := newServer()
		client, server := net.Pipe()
		done := make(chan error, 1)
		go func() { done <- s.ServeConn(t.Context(), server) }()
		go io.Copy(io.Discard, client)
		client.SetWriteDeadline(time.Now().Add(5 * time.Second))
		io.WriteString(client, "USER ann\r\nPASS secret\r\n"+input)
		client.Close()
		<-done
		quit := false
		for _, c := range s.Commands() {
			quit = quit || c.Verb == "QUIT"
		}
		if !quit && len(s.Deleted()) > 0 {
			t.Errorf("%q deleted %v", input, s.Deleted())
		}
	})
}
