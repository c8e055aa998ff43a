package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/mailkeep/mailkeep/mail"
)

func TestLogger(t *testing.T) {
	for _, tc := range []struct{ format, level, want string }{
		{"text", "debug", "DIWE"}, {"text", "info", "IWE"}, {"json", "warn", "WE"}, {"json", "error", "E"},
	} {
		var b bytes.Buffer
		log, err := Logger(&b, tc.format, tc.level)
		if err != nil {
			t.Fatal(err)
		}
		log.Debug("D")
		log.Info("I")
		log.Warn("W")
		log.Error("E")
		lines := strings.Split(strings.TrimSpace(b.String()), "\n")
		var got strings.Builder
		for _, line := range lines {
			got.WriteString(messageOf(t, tc.format, line))
		}
		if got.String() != tc.want {
			t.Errorf("%s %s: %q, want %q", tc.format, tc.level, got.String(), tc.want)
		}
	}
	for _, bad := range [][2]string{{"text", ""}, {"text", "INFO"}, {"xml", "info"}, {"", "info"}} {
		if _, err := Logger(io.Discard, bad[0], bad[1]); mail.KindOf(err) != mail.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func messageOf(t *testing.T, format, line string) string {
	if format == "json" {
		var v struct{ Msg string }
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		return v.Msg
	}
	_, after, _ := strings.Cut(line, "msg=")
	return after
}

func get(h http.Handler) (int, string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", nil))
	return w.Code, w.Body.String()
}

func TestHealth(t *testing.T) {
	var h Health
	if code, _ := get(h.Healthz()); code != http.StatusOK {
		t.Errorf("without checks: %d", code)
	}
	if code, text := get(h.Readyz()); code != http.StatusServiceUnavailable || !strings.Contains(text, `{"name":"started","ok":false}`) {
		t.Errorf("before the start: %d %s", code, text)
	}
	h.SetReady(true)
	var fault error
	h.Add("bus", func() error { return fault })
	h.Add("ledger", func() error { return errors.New("replaced") })
	h.Add("ledger", func() error { return nil })
	if code, text := get(h.Readyz()); code != http.StatusOK {
		t.Errorf("ready: %d %s", code, text)
	}
	fault = mail.WithHint(mail.Errorf(mail.NoSpace, "/srv/secret is full"), "free some")
	ok, results := h.Check()
	want := Result{Name: "bus", Kind: "no space", Error: "/srv/secret is full", Hint: "free some"}
	if ok || len(results) != 2 || results[0] != want || results[1] != (Result{Name: "ledger", OK: true}) {
		t.Errorf("%v %+v", ok, results)
	}
	for _, handler := range []http.Handler{h.Healthz(), h.Readyz()} {
		code, text := get(handler)
		if code != http.StatusServiceUnavailable || !strings.Contains(text, `"kind":"no space"`) || strings.Contains(text, "secret") {
			t.Errorf("%d %s", code, text)
		}
	}
	h.SetReady(false)
	fault = nil
	if code, _ := get(h.Readyz()); code != http.StatusServiceUnavailable {
		t.Errorf("stopping: %d", code)
	}
}

func TestHealthAtOnce(t *testing.T) {
	var h Health
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { h.Add("x", func() error { return nil }) })
		wg.Go(func() { h.Check() })
		wg.Go(func() { get(h.Readyz()) })
	}
	wg.Wait()
	if _, r := h.Check(); len(r) != 1 {
		t.Errorf("%d checks", len(r))
	}
}
