package telemetry

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/mailkeep/mailkeep/mail"
)

func offices(each bool) Options {
	return Options{Software: "mailkeep 1", PerMailbox: each, Hosts: map[string]string{"office": "pop", "sales": "pop", "alone": "other"}}
}

// page returns the metrics page.
func page(t *testing.T, m *Metrics) string {
	t.Helper()
	code, text := get(m.Handler())
	if code != http.StatusOK {
		t.Fatalf("status %d: %s", code, text)
	}
	return text
}

// wantLines checks that the page has each line, less the prefix of all names.
func wantLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(text, "\nmailkeep_"+line+"\n") {
			t.Errorf("no line %q", line)
		}
	}
}

var end = time.Unix(1700000000, 500e6)

func TestMetricsOfTheArchive(t *testing.T) {
	m := NewMetrics(offices(true))
	m.Sealed(3, 300)
	m.Sealed(1, 50)
	m.Receipt(mail.Receipt{Duplicate: true})
	fresh := mail.Receipt{SealedAt: end}
	fresh.Mailbox, fresh.Size, fresh.Fetched = "office", 40, end.Add(-time.Second)
	m.Receipt(fresh)
	stranger := fresh
	stranger.Mailbox = "made up by a message"
	m.Receipt(stranger)
	m.SealLatency(-time.Second)
	m.Ledger(2, 77)
	m.Findings(2, 3)
	m.Index(mail.Cursor{Partition: 2, Position: 70, Size: 77})
	m.IndexMissing(2, 9)
	m.Alert("offers", 3, nil)
	m.Alert("offers", 0, errors.New("no program"))
	m.Drill(2, mail.Drill{Asked: 100, Lost: 4})
	m.Queue(4, 4000, 1<<20)
	m.Failed("poller", nil)
	m.Failed("poller", mail.Errorf(mail.NoSpace, "full"))
	m.Failed("sink", errors.New("odd"))
	text := page(t, m)
	wantLines(t, text,
		`build_info{software="mailkeep 1"} 1`,
		`mailbox_sealed_messages_total{mailbox="office"} 1`, `mailbox_sealed_bytes_total{mailbox="office"} 40`,
		`sealed_messages_total 4`, `sealed_bytes_total 350`, `duplicates_total 1`,
		`seal_seconds_count 3`, `seal_seconds_sum 2`, `ledger_records{partition="2"} 77`, `index_records{partition="2"} 70`, `verify_findings{partition="2"} 3`, `index_missing_records{partition="2"} 9`, `saved_search_messages_total{search="offers"} 3`, `saved_search_failures_total{search="offers"} 1`, `drill_messages_total{partition="2"} 100`, `drill_lost_messages{partition="2"} 4`,
		`queue_messages 4`, `queue_bytes 4000`, `queue_limit_bytes 1.048576e+06`,
		`failures_total{kind="no space",room="poller"} 1`, `failures_total{kind="other",room="sink"} 1`)
	if !strings.Contains(text, "go_goroutines") {
		t.Error("the runtime is not measured")
	}
	if strings.Contains(text, "made up") {
		t.Error("a mailbox that is not configured has a series")
	}
}

func TestMetricsOfSessions(t *testing.T) {
	m := NewMetrics(offices(true))
	m.Ended(Session{Mailbox: "office", Outcome: "ok", Login: LoginAccepted, Fetched: 5, Octets: 100, Deleted: 4, Vanished: 3, Lost: 1})
	m.Ended(Session{Mailbox: "office", Outcome: "credentials", Login: LoginRefused})
	m.Ended(Session{Mailbox: "sales", Outcome: "ok", Login: LoginAccepted, Fetched: 1, Octets: 10, Deleted: 1})
	m.Ended(Session{Mailbox: "sales", Outcome: "temp", Fetched: -1, Vanished: -1, Lost: 9})
	m.Ended(Session{Mailbox: "stranger", Outcome: "ok", Login: LoginAccepted})
	wantLines(t, page(t, m),
		`mailbox_sessions_total{mailbox="office",outcome="ok"} 1`, `mailbox_sessions_total{mailbox="office",outcome="credentials"} 1`,
		`mailbox_fetched_messages_total{mailbox="office"} 5`, `mailbox_fetched_bytes_total{mailbox="office"} 100`,
		`mailbox_deleted_messages_total{mailbox="office"} 4`,
		`mailbox_vanished_messages_total{mailbox="office",sealed="yes"} 2`, `mailbox_vanished_messages_total{mailbox="office",sealed="no"} 1`,
		`mailbox_vanished_messages_total{mailbox="sales",sealed="no"} 0`,
		`host_sessions_total{host="pop",outcome="ok"} 2`, `host_sessions_total{host="pop",outcome="temp"} 1`,
		`host_fetched_messages_total{host="pop"} 6`, `host_fetched_bytes_total{host="pop"} 110`, `host_deleted_messages_total{host="pop"} 5`,
		`host_logins_total{host="pop",result="accepted"} 2`, `host_logins_total{host="pop",result="refused"} 1`)
}

func states() []MailboxState {
	return []MailboxState{
		{Name: "office", Host: "pop", Delete: "after-seal", Interval: time.Minute, LastSession: end, LastSuccess: end, NextDue: end.Add(time.Minute),
			OldestUnsealed: end.Add(-time.Hour), CertExpiry: end.Add(2 * time.Hour), TokenExpiry: end.Add(3 * time.Hour), Listed: 9, Held: map[string]int{"poison": 2, "short": 1}},
		{Name: "sales", Host: "pop", Delete: "never", LastSession: end, LastSuccess: end.Add(-24 * time.Hour), Failures: 3, CredentialsOpen: true,
			Held: map[string]int{"poison": 1}, CertExpiry: end.Add(time.Hour)},
		{Name: "alone", Host: "other", Delete: "after-seal", LastSession: end, Failures: 1, Waits: true},
	}
}

func hosts() []HostState {
	return []HostState{{Name: "pop", Running: 2, Waiting: 1, Paused: time.Now().Add(time.Hour)}, {Name: "other", Paused: end}}
}

func TestMetricsOfStates(t *testing.T) {
	m := NewMetrics(offices(true))
	m.Watch(states, hosts)
	text := page(t, m)
	wantLines(t, text,
		`mailbox_info{delete="never",host="pop",mailbox="sales"} 1`, `mailbox_interval_seconds{mailbox="office"} 60`,
		`mailbox_last_success_timestamp_seconds{mailbox="office"} 1.7000000005e+09`, `mailbox_last_session_timestamp_seconds{mailbox="alone"} 1.7000000005e+09`,
		`mailbox_next_due_timestamp_seconds{mailbox="office"} 1.7000000605e+09`, `mailbox_oldest_unsealed_timestamp_seconds{mailbox="office"} 1.6999964005e+09`,
		`mailbox_certificate_expiry_timestamp_seconds{mailbox="sales"} 1.7000036005e+09`, `mailbox_token_expiry_timestamp_seconds{mailbox="office"} 1.7000108005e+09`,
		`mailbox_consecutive_failures{mailbox="sales"} 3`, `mailbox_listed_messages{mailbox="office"} 9`,
		`mailbox_held_messages{mailbox="office",reason="poison"} 2`,
		`mailbox_breaker_open{breaker="credentials",mailbox="sales"} 1`, `mailbox_breaker_open{breaker="blast_radius",mailbox="sales"} 0`,
		`host_mailboxes{host="pop",state="ok"} 1`, `host_mailboxes{host="pop",state="stopped"} 1`, `host_mailboxes{host="other",state="failing"} 1`, `host_mailboxes{host="other",state="new"} 0`,
		`host_sessions{host="pop"} 2`, `host_waiting_mailboxes{host="pop"} 1`, `host_paused{host="pop"} 1`, `host_paused{host="other"} 0`,
		`host_archive_waits{host="other"} 1`, `host_held_messages{host="pop",reason="poison"} 3`,
		`host_oldest_success_timestamp_seconds{host="pop"} 1.6999136005e+09`, `host_oldest_unsealed_timestamp_seconds{host="pop"} 1.6999964005e+09`,
		`host_certificate_expiry_timestamp_seconds{host="pop"} 1.7000036005e+09`)
	for _, absent := range []string{`mailbox_last_success_timestamp_seconds{mailbox="alone"}`, `mailbox_interval_seconds{mailbox="sales"}`, `oldest_unsealed_timestamp_seconds{host="other"}`} {
		if strings.Contains(text, absent) {
			t.Errorf("%s stands for a time that nobody knows", absent)
		}
	}
}

// Without series for each mailbox nothing of a mailbox is told, and the sums
// are the same.
func TestMailboxMetricsOff(t *testing.T) {
	m := NewMetrics(offices(false))
	m.Watch(states, hosts)
	m.Ended(Session{Mailbox: "office", Outcome: "ok", Login: LoginAccepted})
	m.Receipt(mail.Receipt{Delivery: mail.Delivery{Capture: mail.Capture{Mailbox: "office"}}})
	text := page(t, m)
	if strings.Contains(text, `mailbox="`) {
		t.Errorf("a mailbox has a series:\n%s", text)
	}
	wantLines(t, text, `host_mailboxes{host="pop",state="ok"} 1`, `host_sessions_total{host="pop",outcome="ok"} 1`)
}

// What reads documents is told at each scrape.
func TestExtractionMetrics(t *testing.T) {
	m := NewMetrics(Options{})
	running := 0
	m.WatchExtraction(func() ExtractionState {
		running++
		return ExtractionState{Running: running, Waiting: 2, Started: 3, Lost: 1}
	})
	m.Extracted("pdf", mail.TextTimeout, 10*time.Second, time.Millisecond)
	m.Extracted("", mail.TextFailed, time.Second, time.Millisecond)
	wantLines(t, page(t, m), `extraction_running_documents 1`, `extraction_waiting_documents 2`, `extraction_processes_started_total 3`, `extraction_processes_lost_total 1`,
		`extraction_seconds_count{kind="pdf",status="timeout"} 1`, `extraction_seconds_sum{kind="unknown",status="failed"} 1`, `extraction_wait_seconds_count 2`)
	wantLines(t, page(t, m), `extraction_running_documents 2`)
}

// Names and types are as Prometheus wants them, and what is defined is what the
// page has.
func TestMetricsAreConventional(t *testing.T) {
	m := NewMetrics(offices(true))
	m.Watch(states, hosts)
	m.Ended(Session{Mailbox: "office", Outcome: "ok", Login: LoginAccepted})
	fresh := mail.Receipt{SealedAt: end}
	fresh.Mailbox, fresh.Fetched = "office", end
	m.Receipt(fresh)
	m.Ledger(0, 1)
	m.Findings(0, 0)
	m.Uploaded(1)
	m.Stored(0, StorePass{Waiting: 1, Held: 1, Oldest: time.Unix(1, 0), Failed: true})
	m.Immutable(0, 1)
	m.Index(mail.Cursor{})
	m.IndexMissing(0, 0)
	m.Drill(0, mail.Drill{})
	m.Alert("a", 1, nil)
	m.Alert("a", 1, errors.New("no program"))
	m.Envelope("none")
	m.Extracted("pdf", mail.TextOK, time.Second, 0)
	m.WatchExtraction(func() ExtractionState { return ExtractionState{Running: 1, Waiting: 2, Started: 3, Lost: 4} })
	m.Failed("sink", errors.New("odd"))
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), namespace) {
			continue
		}
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		got = append(got, f.GetName()+" "+strings.ToLower(f.GetType().String())+" "+strings.Join(labels, ",")+" "+f.GetHelp())
	}
	for _, d := range m.Definitions() {
		labels := slices.Sorted(slices.Values(d.Labels))
		want = append(want, d.Name+" "+d.Type+" "+strings.Join(labels, ",")+" "+d.Help)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the page has\n%s\nand defined is\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, namespace) {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

func TestRegistriesAreApart(t *testing.T) {
	a, b := NewMetrics(Options{}), NewMetrics(Options{})
	a.Sealed(5, 5)
	wantLines(t, page(t, b), "sealed_messages_total 0")
}

// BenchmarkScrape asks for the page of 10,000 mailboxes, with series for each and
// without.
func BenchmarkScrape(b *testing.B) {
	boxes, of := make([]MailboxState, 10_000), map[string]string{}
	for i := range boxes {
		boxes[i] = states()[0]
		boxes[i].Name, boxes[i].Host = fmt.Sprintf("mailbox%d@example.org", i), fmt.Sprintf("pop%d", i%100)
		of[boxes[i].Name] = boxes[i].Host
	}
	for name, each := range map[string]bool{"by mailbox": true, "by host": false} {
		b.Run(name, func(b *testing.B) {
			m := NewMetrics(Options{Hosts: of, PerMailbox: each})
			m.Watch(func() []MailboxState { return boxes }, hosts)
			for box := range of {
				m.Ended(Session{Mailbox: box, Outcome: "ok", Login: LoginAccepted})
			}
			size := 0
			for b.Loop() {
				_, text := get(m.Handler())
				size = len(text)
			}
			b.ReportMetric(float64(size), "octets/page")
		})
	}
}
