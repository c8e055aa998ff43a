package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// A plant is a POP3 server on loopback and a configuration that drains it.
type plant struct {
	server *pop3test.Server
	config *configs.Config
}

// newPlant serves mailboxes with n messages each: "number i of box" has the
// word of its mailbox, and all have "everywhere".
func newPlant(t *testing.T, n int, more string, boxes ...string) *plant {
	t.Helper()
	p := &plant{server: &pop3test.Server{Mailboxes: map[string]*pop3test.Mailbox{}}}
	for b, box := range boxes {
		m := &pop3test.Mailbox{Password: "secret-of-the-plant"}
		for i := range n {
			at := time.Date(2026, 1, 1+b, i/60, i%60, 0, 0, time.UTC).Format(time.RFC1123Z)
			m.Messages = append(m.Messages, pop3test.Message{UIDL: fmt.Sprintf("%s-%d", box, i), Raw: fmt.Appendf(nil,
				"From: a@example.org\r\nSubject: number %d of %s\r\nDate: %s\r\n\r\nThe word everywhere, and word%s.\r\n", i, box, at, box)})
		}
		p.server.Mailboxes[box] = m
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.server.Serve(ctx, l) }()
	t.Cleanup(func() { stop(); <-ended })
	p.configure(t, l.Addr().String(), more, boxes)
	return p
}

func (p *plant) configure(t *testing.T, addr, more string, boxes []string) {
	t.Helper()
	dir := t.TempDir()
	file, password := filepath.Join(dir, "mailkeep.yaml"), filepath.Join(dir, "password")
	var text strings.Builder
	text.WriteString(fmt.Sprintf("archive: {dir: %q}\nlog: {level: debug}\nhosts:\n  pop: {address: %s, security: plain, allow_plain: true, logins_per_minute: 60000}\n%s\nmailboxes:\n",
		filepath.Join(dir, "archive"), addr, more))
	for _, b := range boxes {
		text.WriteString(fmt.Sprintf("  - {name: %s, host: pop, password_file: %q}\n", b, password))
	}
	for name, content := range map[string]string{file: text.String(), password: "secret-of-the-plant\n"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := configs.Load(configs.Sources{File: file})
	if err != nil {
		t.Fatal(err)
	}
	p.config = c
}

func (p *plant) left() (n int) {
	for _, m := range p.server.Mailboxes {
		n += len(m.Left())
	}
	return n
}

func console(t *testing.T) Console { return Console{Logs: t.Output()} }

func (p *plant) drain(t *testing.T) DrainResult {
	t.Helper()
	r, err := DrainOnce(t.Context(), p.config, nil, console(t))
	if err != nil || r.Failed() > 0 {
		t.Fatalf("drain: %v, %+v", err, r)
	}
	return r
}

func (p *plant) open(t *testing.T) *Client {
	t.Helper()
	c, err := Open(t.Context(), p.config, console(t))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func closeOK(t *testing.T, c io.Closer) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// pages reads all pages of a search, size hits at a time.
func pages(t *testing.T, c *Client, query string, size int) (subjects []string) {
	t.Helper()
	r := mail.SearchRequest{Query: query, Limit: size}
	total := uint64(0)
	for n := 0; ; n++ {
		a, err := c.Search(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			total = a.Total
		}
		if a.Total != total || !a.Coverage.Complete || len(a.Coverage.Cursors) != len(c.sources) {
			t.Fatalf("page %d has total %d, the first had %d; coverage %+v", n, a.Total, total, a.Coverage)
		}
		for _, h := range a.Hits {
			subjects = append(subjects, h.Subject)
		}
		if a.Next == "" {
			if uint64(len(subjects)) != total {
				t.Fatalf("%d hits on all pages, the total is %d", len(subjects), total)
			}
			return subjects
		}
		if len(a.Hits) != size {
			t.Fatalf("page %d of %d has %d hits", n, size, len(a.Hits))
		}
		r.After = a.Next
	}
}

// Two partitions answer as one: newest first, each hit once, whatever the size
// of a page, with the total and the coverage of both on every page.
func TestTwoPartitions(t *testing.T) {
	var boxes []string
	owners := map[uint16]int{}
	for _, b := range []string{"anna", "bela", "carl", "dora", "emil", "fritz"} {
		boxes = append(boxes, b)
		owners[mail.Partition(b, 2)]++
	}
	if owners[0] == 0 || owners[1] == 0 || owners[0] == owners[1] {
		t.Fatalf("the mailboxes lie in %v: choose others", owners)
	}
	p := newPlant(t, 7, "partitions: 2", boxes...)
	r := p.drain(t)
	if len(r.Mailboxes) != len(boxes) || p.left() != 0 {
		t.Fatalf("%+v; %d messages left", r, p.left())
	}
	c := p.open(t)
	want := pages(t, c, "everywhere", 100)
	if len(want) != 42 || want[0] != "number 6 of fritz" || want[41] != "number 0 of anna" {
		t.Errorf("%d hits: %v", len(want), want)
	}
	for _, size := range []int{1, 3, 5, 41, 42} {
		if diff := cmp.Diff(want, pages(t, c, "everywhere", size)); diff != "" {
			t.Errorf("pages of %d: %s", size, diff)
		}
	}
	if got := pages(t, c, "wordcarl", 2); len(got) != 7 {
		t.Errorf("of one partition: %v", got)
	}
	closeOK(t, c)
	v, err := Verify(t.Context(), p.config, VerifyOptions{}, console(t))
	if err != nil || len(v.Findings) > 0 || len(v.Partitions) != 2 || v.Partitions[0].Messages+v.Partitions[1].Messages != 42 {
		t.Errorf("verify: %+v, %v", v, err)
	}
}

// A partition that cannot answer is named in the coverage, and asked again for
// the next page.
func TestPartitionFails(t *testing.T) {
	p := newPlant(t, 4, "partitions: 2", "anna", "bela", "carl", "dora", "emil", "fritz")
	p.drain(t)
	c := p.open(t)
	defer closeOK(t, c)
	parts, err := c.offline()
	if err != nil {
		t.Fatal(err)
	}
	if err := parts[1].index.Close(); err != nil {
		t.Fatal(err)
	}
	a, err := c.Search(t.Context(), mail.SearchRequest{Query: "everywhere", Limit: 2})
	if err != nil || len(a.Hits) != 2 || a.Coverage.Complete || len(a.Coverage.Failed) != 1 || !strings.HasPrefix(a.Coverage.Failed[0], "partition 1: ") {
		t.Fatalf("%+v, %v", a, err)
	}
	for n := 0; a.Next != ""; n++ {
		if n > 24 {
			t.Fatal("the pages do not end")
		}
		if a, err = c.Search(t.Context(), mail.SearchRequest{Query: "everywhere", Limit: 2, After: a.Next}); err != nil || len(a.Coverage.Failed) != 1 {
			t.Fatalf("%+v, %v", a, err)
		}
	}
	if err := parts[0].index.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Search(t.Context(), mail.SearchRequest{Query: "everywhere"}); err == nil {
		t.Error("no partition answers, and no error")
	}
}

func TestSearchRefusesForeignPages(t *testing.T) {
	p := newPlant(t, 1, "", "anna")
	p.drain(t)
	c := p.open(t)
	defer closeOK(t, c)
	for _, r := range []mail.SearchRequest{{Query: "x", After: "!"}, {Query: "x", After: writePages([]string{"", ""})}, {Query: "x", Limit: -1}, {Query: "x", Limit: 1 << 20}} {
		if _, err := c.Search(t.Context(), r); mail.KindOf(err) != mail.Invalid || mail.HintOf(err) == "" {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

// A client answers the same beside a running process, which it asks, as without.
func TestClientBesideARunningProcess(t *testing.T) {
	p := newPlant(t, 5, "", "anna", "bela")
	p.drain(t)
	alone := p.open(t)
	wantHits, wantStatus := pages(t, alone, "everywhere", 3), mustStatus(t, alone)
	closeOK(t, alone)
	if alone.indexDoor != nil || alone.catalogDoor != nil {
		t.Error("a process answers that does not run")
	}

	a, err := New(t.Context(), p.config, nil, console(t))
	if err != nil {
		t.Fatal(err)
	}
	beside := p.open(t)
	if beside.indexDoor == nil || beside.catalogDoor == nil {
		t.Error("the process does not answer")
	}
	if diff := cmp.Diff(wantHits, pages(t, beside, "everywhere", 3)); diff != "" {
		t.Error(diff)
	}
	got := mustStatus(t, beside)
	if got.Queue == nil || got.Queue.Messages != 0 {
		t.Errorf("queue: %+v", got.Queue)
	}
	if diff := cmp.Diff(messagesOf(wantStatus), messagesOf(got)); diff != "" {
		t.Error(diff)
	}
	if v, err := Verify(t.Context(), p.config, VerifyOptions{}, console(t)); err != nil || len(v.Findings) > 0 {
		t.Errorf("verify: %+v, %v", v, err)
	}
	if err := Reindex(t.Context(), p.config, console(t)); mail.KindOf(err) != mail.InUse {
		t.Errorf("reindex beside a running process: %v", err)
	}
	if _, err := New(t.Context(), p.config, nil, console(t)); mail.KindOf(err) != mail.InUse {
		t.Errorf("a second process: %v", err)
	}
	closeOK(t, beside)
	if err := a.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := Reindex(t.Context(), p.config, console(t)); err != nil {
		t.Errorf("reindex: %v", err)
	}
	again := p.open(t)
	defer closeOK(t, again)
	if diff := cmp.Diff(wantHits, pages(t, again, "everywhere", 4)); diff != "" {
		t.Error(diff)
	}
}

func mustStatus(t *testing.T, c *Client) StatusReport {
	t.Helper()
	r, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func messagesOf(r StatusReport) map[string]uint64 {
	out := map[string]uint64{}
	for _, m := range r.Mailboxes {
		out[m.Name+" "+m.Outcome] = m.Messages
	}
	return out
}

// The status tells what the ledger has of each mailbox, and how far views are.
func TestStatus(t *testing.T) {
	p := newPlant(t, 3, "", "anna", "bela")
	p.drain(t)
	p.config.Mailboxes = p.config.Mailboxes[:1]
	c := p.open(t)
	defer closeOK(t, c)
	r := mustStatus(t, c)
	if len(r.Mailboxes) != 2 || len(r.Partitions) != 1 || r.Queue != nil || r.Time.IsZero() {
		t.Fatalf("%+v", r)
	}
	for i, m := range r.Mailboxes {
		if m.Messages != 3 || m.Outcome != "ok" || m.LastSuccess.IsZero() || m.Octets == 0 || m.Sealed != 3 || m.Deleted != 3 || m.Failures != 0 {
			t.Errorf("%+v", m)
		}
		if m.Configured != (i == 0) || (m.Host == "") == (i == 0) {
			t.Errorf("configured: %+v", m)
		}
	}
	if s := r.Partitions[0]; s.Records < 8 || s.Catalog != s.Records || s.Index != s.Records || s.Segments == 0 || s.Octets == 0 || s.Problem != "" {
		t.Errorf("%+v", s)
	}
}

func TestDrainRefusesUnknownMailboxes(t *testing.T) {
	p := newPlant(t, 1, "", "anna")
	_, err := DrainOnce(t.Context(), p.config, []string{"anna", "nobody"}, console(t))
	if mail.KindOf(err) != mail.NotFound || !strings.Contains(err.Error(), `"nobody"`) || mail.HintOf(err) == "" {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(p.config.Archive.Dir); err == nil || p.left() != 1 {
		t.Error("the refusal did something")
	}
	r, err := DrainOnce(t.Context(), p.config, []string{"anna"}, console(t))
	if err != nil || len(r.Mailboxes) != 1 || r.Mailboxes[0].Sealed != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestOpenWithoutArchive(t *testing.T) {
	p := newPlant(t, 0, "", "anna")
	if _, err := Open(t.Context(), p.config, console(t)); mail.KindOf(err) != mail.NotFound || mail.HintOf(err) == "" {
		t.Errorf("%v", err)
	}
}

// Without a NATS server of its own, a process takes all roles or none.
func TestRolesNeedATransport(t *testing.T) {
	c := &configs.Config{}
	for _, roles := range [][]Role{{RolePoller}, {RoleArchive, RoleIndex}, {RoleIndex}} {
		if err := checkRoles(c, roles); mail.KindOf(err) != mail.Invalid || mail.HintOf(err) == "" {
			t.Errorf("%v: %v", roles, err)
		}
	}
	if err := checkRoles(c, Roles()); err != nil {
		t.Error(err)
	}
	c.NATS.URL = "nats://127.0.0.1:4222"
	for _, r := range Roles() {
		if err := checkRoles(c, []Role{r}); err != nil {
			t.Errorf("%s: %v", r, err)
		}
	}
}

// What a process opens it closes in the order of the pipeline, the poller first.
func TestStopFollowsThePipeline(t *testing.T) {
	p := newPlant(t, 1, "", "anna")
	a, err := New(t.Context(), p.config, nil, console(t))
	if err != nil {
		t.Fatal(err)
	}
	a.Start(t.Context())
	var order []string
	for _, s := range slices.Backward(a.life.steps) {
		order = append(order, s.name)
	}
	at := -1
	for _, name := range []string{"poller", "socket", "indexer", "index", "consumer", "sink", "ledger", "catalog", "bus", "directory"} {
		i := slices.Index(order, name)
		if i <= at {
			t.Errorf("%s ends at place %d of %v", name, i, order)
		}
		at = i
	}
	if err := a.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := a.Stop(t.Context()); err != nil {
		t.Errorf("second stop: %v", err)
	}
}

// New that fails half way gives up all that it had opened.
func TestNewRollsBack(t *testing.T) {
	p := newPlant(t, 2, "", "anna")
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	p.config.HTTP.Listen = busy.Addr().String()
	if _, err := New(t.Context(), p.config, nil, console(t)); err == nil || mail.HintOf(err) == "" {
		t.Fatalf("a busy port: %v", err)
	}
	p.config.HTTP.Listen = ""
	p.drain(t) // the locks are free
}

// Run ends in order when its context does, and with its error when a part of
// the process fails for good.
func TestRun(t *testing.T) {
	p := newPlant(t, 3, "poll: {interval: 1s}", "anna")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, p.config, nil, console(t)) }()
	for tick := time.NewTicker(20 * time.Millisecond); p.left() > 0; <-tick.C {
		if t.Context().Err() != nil {
			t.Fatal("the mailbox is not drained")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	a, err := New(t.Context(), p.config, nil, console(t))
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("a part is broken")
	a.life.work(t.Context(), "part", func(context.Context) error { return broken })
	if err := a.run(t.Context()); !errors.Is(err, broken) {
		t.Errorf("run with a broken part: %v", err)
	}
	p.drain(t) // the locks are free
}
