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
	"time"

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

func TestMetrics(t *testing.T) {
	m := NewMetrics()
	id := mail.ID{Seq: 1}
	end := time.Unix(1700000000, 500e6)
	m.Drained(mail.Drain{Mailbox: "office", Outcome: "ok", Ended: end, Listed: 9, Fetched: 5, Deleted: 4, Held: 1,
		Rows: []mail.DrainRow{{Size: 100, ID: &id}, {Size: 1000}, {Size: -1, ID: &id}}})
	m.Drained(mail.Drain{Mailbox: "office", Outcome: "temporary", Ended: end.Add(time.Hour), Listed: 3})
	m.Sealed(3, 300)
	m.Sealed(1, 50)
	m.Receipt(mail.Receipt{Duplicate: true})
	fresh := mail.Receipt{SealedAt: end}
	fresh.Fetched = end.Add(-time.Second)
	m.Receipt(fresh)
	m.SealLatency(-time.Second)
	m.Ledger(2, 77)
	m.Index(mail.Cursor{Partition: 2, Position: 70, Size: 77})
	m.Queue(4, 4000, 1<<20)
	m.Failed("poller", nil)
	m.Failed("poller", mail.Errorf(mail.NoSpace, "full"))
	m.Failed("sink", errors.New("odd"))
	code, text := get(m.Handler())
	if code != http.StatusOK {
		t.Fatalf("status %d", code)
	}
	for _, line := range []string{
		`sessions_total{mailbox="office",outcome="ok"} 1`, `sessions_total{mailbox="office",outcome="temporary"} 1`,
		`messages_fetched_total{mailbox="office"} 5`, `messages_deleted_total{mailbox="office"} 4`,
		`messages_listed{mailbox="office"} 3`, `messages_held{mailbox="office"} 0`,
		`fetched_octets_total{mailbox="office"} 100`, `last_success_timestamp_seconds{mailbox="office"} 1.7000000005e+09`,
		`messages_sealed_total 4`, `sealed_octets_total 350`, `duplicates_total 1`,
		`seal_seconds_count 2`, `seal_seconds_sum 1`, `ledger_size{partition="2"} 77`, `index_position{partition="2"} 70`,
		`queue_messages 4`, `queue_octets 4000`, `queue_limit_octets 1.048576e+06`,
		`failures_total{kind="no space",room="poller"} 1`, `failures_total{kind="other",room="sink"} 1`,
	} {
		if !strings.Contains(text, "\nmailkeep_"+line+"\n") {
			t.Errorf("no line %q", line)
		}
	}
	if !strings.Contains(text, "go_goroutines") {
		t.Error("the runtime is not measured")
	}
}

func TestRegistriesAreApart(t *testing.T) {
	a, b := NewMetrics(), NewMetrics()
	a.Sealed(5, 5)
	if _, text := get(b.Handler()); !strings.Contains(text, "mailkeep_messages_sealed_total 0") {
		t.Error("one application's numbers show in another's")
	}
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
