package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/internal/app"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/tlog"
)

// A fakeClient answers from its fields.
type fakeClient struct {
	bundle tlog.Bundle
	err    error
	answer mail.SearchAnswer
	raw    string
	req    mail.SearchRequest
	closed bool
}

type rawString struct{ *strings.Reader }

func (rawString) Close() error { return nil }

func (f *fakeClient) Search(_ context.Context, q mail.SearchRequest) (mail.SearchAnswer, error) {
	f.req = q
	return f.answer, f.err
}

func (f *fakeClient) Message(_ context.Context, id mail.ID) (mail.Record, *mail.Message, error) {
	rec := record()
	rec.ID = id
	return rec, message(), f.err
}

func (f *fakeClient) Copies(_ context.Context, id mail.ID, m *mail.Message) (app.Copies, error) {
	return app.Copies{IDs: []mail.ID{id}, Envelope: m.Envelope}, f.err
}

func (f *fakeClient) Raw(context.Context, mail.ID) (mail.Raw, error) {
	return rawString{strings.NewReader(f.raw)}, f.err
}

func (f *fakeClient) Attachment(context.Context, mail.ID, int) (string, io.Reader, error) {
	return "../\x1b[2Jevil.pdf", strings.NewReader("attached"), f.err
}

func (f *fakeClient) Proof(context.Context, mail.ID) (tlog.Bundle, error) {
	return f.bundle, f.err
}

func (f *fakeClient) Status(context.Context) (app.StatusReport, error) { return report(), f.err }

func (f *fakeClient) History(_ context.Context, mailbox string, limit int, messages bool) (app.History, error) {
	h := history()
	h.Mailbox, h.Sessions = mailbox, h.Sessions[:min(limit, len(h.Sessions))]
	if !messages {
		for i := range h.Sessions {
			h.Sessions[i].Rows = nil
		}
	}
	return h, f.err
}

func (f *fakeClient) Close() error {
	f.closed = true
	return nil
}

// execute runs one command line against an application; the configuration has
// two mailboxes.
func execute(t *testing.T, a application, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "mailkeep.yaml")
	text := "mailboxes:\n- {name: office, host: pop.example.org, password_env: PW}\n- {name: sales, host: pop.example.org, password_env: PW}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	status = run(args, &out, &errs, []string{"MAILKEEP_CONFIG=" + file, "PW=x"}, a)
	return status, out.String(), errs.String()
}

func opens(f *fakeClient) application {
	return application{Open: func(context.Context, *configs.Config, app.Console) (client, error) { return f, nil }}
}

func TestExitStatuses(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("x"), 1},
		{mail.Errorf(mail.Temporary, "x"), 1},
		{mail.Errorf(mail.NoSpace, "x"), 1},
		{mail.Errorf(mail.Denied, "x"), 1},
		{mail.Errorf(mail.Invalid, "x"), 2},
		{configs.Faults{{Problem: "x"}}, 1}, // bare: Load wraps them as Invalid
		{fmt.Errorf("y: %w", errPartial), 3},
		{mail.WithHint(mail.Errorf(mail.Corrupt, "x"), "h"), 4},
		{fmt.Errorf("y: %w", mail.Errorf(mail.InUse, "x")), 5},
		{mail.Errorf(mail.NotFound, "x"), 6},
		{fmt.Errorf("y: %w", context.Canceled), 130},
	} {
		f := &fakeClient{err: tc.err}
		status, _, stderr := execute(t, opens(f), "search", "x")
		if status != tc.want || !f.closed || (tc.err != nil) != strings.HasPrefix(stderr, "mailkeep: error: ") {
			t.Errorf("%v: status %d, want %d; closed %v; %s", tc.err, status, tc.want, f.closed, stderr)
		}
		if !strings.Contains(exitHelp, fmt.Sprintf("\n  %-4d ", tc.want)) {
			t.Errorf("the help does not list status %d", tc.want)
		}
	}
}

func TestHintIsPrinted(t *testing.T) {
	f := &fakeClient{err: mail.WithHint(mail.Errorf(mail.InUse, "taken \x1b[31m"), "stop\nit")}
	_, _, stderr := execute(t, opens(f), "status")
	if stderr != "mailkeep: error: taken \uFFFD[31m\nmailkeep: hint: stop it\n" {
		t.Errorf("%q", stderr)
	}
}

func TestSearchArguments(t *testing.T) {
	f := &fakeClient{answer: answer()}
	status, out, _ := execute(t, opens(f), "search", "--limit", "5", "--after", "tok", "--json", "from:bob", `"two words"`, "--", "-spam")
	if want := (mail.SearchRequest{Query: `from:bob "two words" -spam`, Limit: 5, After: "tok", Evidence: true}); status != 0 || !reflect.DeepEqual(f.req, want) {
		t.Errorf("status %d, %+v", status, f.req)
	}
	var got mail.SearchAnswer
	if err := json.Unmarshal([]byte(out), &got); err != nil || got.Total != 120 || got.Hits[0].Subject != answer().Hits[0].Subject {
		t.Errorf("%v: %s", err, out)
	}
	for _, args := range [][]string{{"search"}, {"search", " "}, {"search", "--limit", "0", "x"}, {"search", "--limit", "1000000", "x"}, {"search", "--limit", "x", "y"}} {
		if status, _, stderr := execute(t, opens(f), args...); status != 2 || !strings.Contains(stderr, "mailkeep search --help") {
			t.Errorf("%q: status %d, %s", args, status, stderr)
		}
	}
}

func TestShow(t *testing.T) {
	raw := "Subject: x\r\n\r\nbytes \x00\xff\x1b.\r\n"
	f := &fakeClient{raw: raw}
	if status, out, _ := execute(t, opens(f), "show", "0-7", "--raw"); status != 0 || out != raw {
		t.Errorf("raw: %d, %q", status, out)
	}
	status, out, stderr := execute(t, opens(f), "show", "0-7", "--attachment", "1")
	if status != 0 || out != "attached" || strings.Contains(stderr, "\x1b") {
		t.Errorf("attachment: %d, %q, %q", status, out, stderr)
	}
	file := filepath.Join(t.TempDir(), "out")
	if status, _, stderr := execute(t, opens(f), "show", "7", "--raw", "-o", file); status != 0 {
		t.Errorf("to a file: %d, %s", status, stderr)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != raw {
		t.Errorf("file: %q, %v", b, err)
	}
	if status, _, stderr := execute(t, opens(f), "show", "7", "--raw", "-o", file); status != 2 || !strings.Contains(stderr, "exists already") {
		t.Errorf("a file was replaced: %d, %s", status, stderr)
	}
	status, out, _ = execute(t, opens(f), "show", "0-7", "--json")
	var doc map[string]any
	if err := json.Unmarshal([]byte(out), &doc); status != 0 || err != nil || doc["id"] != "0-7" || doc["kind"] != "message" {
		t.Errorf("json: %d, %v, %s", status, err, out)
	}
	for _, args := range [][]string{{}, {"1", "2"}, {"x-y"}, {"1", "--attachment", "0"}, {"1", "-o", "f"}, {"1", "--raw", "--json"}} {
		if status, _, stderr := execute(t, opens(f), append([]string{"show"}, args...)...); status != 2 {
			t.Errorf("%q: status %d, %s", args, status, stderr)
		}
	}
}

func TestDrain(t *testing.T) {
	ok := app.DrainedMailbox{Name: "office", Outcome: "ok", Sealed: 2}
	bad := app.DrainedMailbox{Name: "sales", Outcome: "credentials", Error: "refused", Hint: "check the password"}
	for _, tc := range []struct {
		boxes []app.DrainedMailbox
		want  int
	}{
		{[]app.DrainedMailbox{ok}, 0}, {[]app.DrainedMailbox{ok, bad}, 3}, {[]app.DrainedMailbox{bad}, 1}, {[]app.DrainedMailbox{bad, bad}, 1},
	} {
		var names []string
		a := application{DrainOnce: func(_ context.Context, _ *configs.Config, n []string, c app.Console) (app.DrainResult, error) {
			names = n
			c.Progress(app.Progress{Phase: app.PhaseDrain, Subject: "office"})
			return app.DrainResult{Mailboxes: tc.boxes}, nil
		}}
		if status, _, _ := execute(t, a, "drain", "--once", "office"); status != tc.want || len(names) != 1 || names[0] != "office" {
			t.Errorf("%d mailboxes: status %d, want %d; names %q", len(tc.boxes), status, tc.want, names)
		}
		if status, out, _ := execute(t, a, "drain", "--json"); status != tc.want || !json.Valid([]byte(out)) {
			t.Errorf("json: %d, %s", status, out)
		}
	}
	if status, _, _ := execute(t, application{}, "drain", "--once=false"); status != 2 {
		t.Errorf("--once=false: status %d", status)
	}
}

// What an interrupted round has done is told all the same.
func TestDrainInterrupted(t *testing.T) {
	a := application{DrainOnce: func(context.Context, *configs.Config, []string, app.Console) (app.DrainResult, error) {
		return app.DrainResult{Mailboxes: []app.DrainedMailbox{{Name: "office", Outcome: "ok", Sealed: 123}}}, context.Canceled
	}}
	for _, args := range [][]string{{"drain"}, {"drain", "--json"}} {
		status, out, stderr := execute(t, a, args...)
		if status != 130 || !strings.Contains(out, "123") || !strings.Contains(stderr, "interrupted") {
			t.Errorf("%v: status %d, %s, %s", args, status, out, stderr)
		}
	}
	a.DrainOnce = func(context.Context, *configs.Config, []string, app.Console) (app.DrainResult, error) {
		return app.DrainResult{}, context.Canceled
	}
	if status, out, _ := execute(t, a, "drain"); status != 130 || out != "" {
		t.Errorf("before it began: status %d, %s", status, out)
	}
}

func TestVerifyStatus(t *testing.T) {
	for _, damaged := range []bool{false, true} {
		a := application{Verify: func(context.Context, *configs.Config, app.VerifyOptions, app.Console) (app.VerifyReport, error) {
			return verified(damaged), nil
		}}
		want := map[bool]int{false: 0, true: 4}[damaged]
		if status, out, _ := execute(t, a, "verify", "--json"); status != want || !json.Valid([]byte(out)) {
			t.Errorf("damaged %v: status %d, %s", damaged, status, out)
		}
	}
}

func TestRunRoles(t *testing.T) {
	var roles []app.Role
	a := application{Run: func(_ context.Context, _ *configs.Config, r []app.Role, _ app.Console) error {
		roles = r
		return nil
	}}
	if status, _, _ := execute(t, a, "run"); status != 0 || len(roles) != 3 {
		t.Errorf("status %d, roles %v", status, roles)
	}
	if status, _, _ := execute(t, a, "run", "--role", "index,archive", "--role", "index", "--nats-url", "nats://n.example.org"); status != 0 || len(roles) != 2 {
		t.Errorf("status %d, roles %v", status, roles)
	}
	for _, args := range [][]string{{"--role", "web"}, {"--role", "poller"}, {"x"}} {
		if status, _, _ := execute(t, a, append([]string{"run"}, args...)...); status != 2 {
			t.Errorf("%q: status %d", args, status)
		}
	}
}

// TestSignal: the first signal ends the context of the command.
func TestSignal(t *testing.T) {
	a := application{Reindex: func(ctx context.Context, _ *configs.Config, _ app.Console) error {
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	}}
	if status, _, stderr := execute(t, a, "reindex"); status != 130 || stderr != "mailkeep: error: interrupted\n" {
		t.Errorf("status %d, %q", status, stderr)
	}
}

func TestHealth(t *testing.T) {
	healthy := true
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !healthy {
			http.Error(w, "index: stuck", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok", r.URL.Path)
	}))
	defer s.Close()
	address := strings.TrimPrefix(s.URL, "http://")
	if status, out, stderr := execute(t, application{}, "health", "--http-listen", address); status != 0 || out != "ok /healthz\n" {
		t.Errorf("status %d, %q, %s", status, out, stderr)
	}
	if _, out, _ := execute(t, application{}, "health", "--ready", "--http-listen", address); out != "ok /readyz\n" {
		t.Errorf("ready: %q", out)
	}
	healthy = false
	if status, _, stderr := execute(t, application{}, "health", "--http-listen", address); status != 1 || !strings.Contains(stderr, "index: stuck") {
		t.Errorf("status %d, %s", status, stderr)
	}
	if status, _, _ := execute(t, application{}, "health"); status != 2 {
		t.Errorf("without a listener: status %d", status)
	}
	for in, want := range map[string]string{":1": "localhost:1", "0.0.0.0:1": "localhost:1", "[::]:1": "localhost:1", "127.0.0.1:1": "127.0.0.1:1", "x": "x"} {
		if got := reachable(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func TestCompletionOfMailboxes(t *testing.T) {
	if _, out, _ := execute(t, application{}, "__complete", "drain", ""); !strings.HasPrefix(out, "office\nsales\n") {
		t.Errorf("%q", out)
	}
}

func TestSwitchesAreShownPlainly(t *testing.T) {
	for _, command := range [][]string{{"--help"}, {"search", "--help"}, {"help", "show"}} {
		status, out, _ := execute(t, application{}, command...)
		if status != 0 || strings.Contains(out, "true|false") || !strings.Contains(out, "  -h, --help   ") {
			t.Errorf("%v: %d\n%s", command, status, out)
		}
	}
}

func TestDemo(t *testing.T) {
	a := application{Demo: func(_ context.Context, o app.DemoOptions, out io.Writer, _ app.Console) error {
		return errors.Join(o.ShowDrain(out, app.DrainResult{}), o.ShowHits(out, answer()), o.ShowVerify(out, verified(false)))
	}}
	if status, out, _ := execute(t, a, "demo", "--dir", "d"); status != 0 || !strings.Contains(out, "no damage found") {
		t.Errorf("%d, %s", status, out)
	}
}

var day1 = time.Date(2026, 1, 31, 14, 2, 3, 0, time.UTC)
