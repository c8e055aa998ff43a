package app

import (
	"fmt"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/poller"
)

func (a *App) page(t *testing.T) string {
	t.Helper()
	w := httptest.NewRecorder()
	a.metrics.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	return w.Body.String()
}

// What sessions do shows in the metrics of their mailbox and its host, those that
// came to no login included.
func TestMetricsOfAProcess(t *testing.T) {
	p := newPlant(t, 3, "", "anna", "bela")
	p.server.Mailboxes["bela"].Password = "another"
	a, err := New(t.Context(), p.config, nil, console(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.poller.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := a.drainQueue(t.Context()); err != nil {
		t.Fatal(err)
	}
	text := a.page(t)
	for _, line := range []string{
		`mailkeep_mailbox_info{delete="after-seal",host="pop",mailbox="anna"} 1`,
		`mailkeep_mailbox_sessions_total{mailbox="anna",outcome="ok"} 1`,
		`mailkeep_mailbox_sessions_total{mailbox="bela",outcome="credentials"} 1`,
		`mailkeep_mailbox_fetched_messages_total{mailbox="anna"} 3`,
		`mailkeep_mailbox_deleted_messages_total{mailbox="anna"} 3`,
		`mailkeep_mailbox_sealed_messages_total{mailbox="anna"} 3`,
		`mailkeep_mailbox_interval_seconds{mailbox="anna"} 900`,
		`mailkeep_mailbox_consecutive_failures{mailbox="bela"} 1`,
		`mailkeep_mailbox_breaker_open{breaker="credentials",mailbox="bela"} 0`,
		`mailkeep_host_mailboxes{host="pop",state="ok"} 1`,
		`mailkeep_host_mailboxes{host="pop",state="failing"} 1`,
		`mailkeep_host_logins_total{host="pop",result="accepted"} 1`,
		`mailkeep_host_logins_total{host="pop",result="refused"} 1`,
		`mailkeep_host_sessions{host="pop"} 0`,
		`mailkeep_host_paused{host="pop"} 0`,
		`mailkeep_sealed_messages_total 3`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	success := regexp.MustCompile(`(?m)^mailkeep_mailbox_last_success_timestamp_seconds\{mailbox="(\w+)"\} 1\.\d+e\+09$`).FindAllStringSubmatch(text, -1)
	if len(success) != 1 || success[0][1] != "anna" {
		t.Errorf("last successes: %q", success)
	}
	if err := a.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// Series by mailbox are for as many mailboxes as a Prometheus likes, or as the
// operator says.
func TestMailboxMetricsAreBounded(t *testing.T) {
	for _, tc := range []struct {
		word  string
		boxes int
		want  bool
	}{{configs.MetricsAuto, 1, true}, {configs.MetricsAuto, mostMeasured + 1, false}, {configs.MetricsOn, mostMeasured + 1, true}, {configs.MetricsOff, 1, false}} {
		names := make([]string, tc.boxes)
		for i := range names {
			names[i] = fmt.Sprintf("box%d", i)
		}
		p := newPlant(t, 0, "http: {mailbox_metrics: "+tc.word+"}", names...)
		a, err := newApp(p.config, nil, console(t))
		if err != nil {
			t.Fatal(err)
		}
		o, err := a.pollerOptions()
		if err != nil {
			t.Fatal(err)
		}
		a.sessionEnded(pollerResult(o.Mailboxes[0].Name))
		if got := strings.Contains(a.page(t), `mailbox="`); got != tc.want {
			t.Errorf("%s with %d mailboxes: series by mailbox %v", tc.word, tc.boxes, got)
		}
	}
}

func pollerResult(mailbox string) poller.Result {
	return poller.Result{Mailbox: mailbox, Sessions: 1, Outcome: poller.OutcomeOK}
}
