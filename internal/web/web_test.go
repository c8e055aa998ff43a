package web

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/mail"
)

func start(t *testing.T, path string, s Service) *Client {
	t.Helper()
	l, err := ListenSocket(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	srv := Serve(context.WithoutCancel(t.Context()), l, Control(s))
	t.Cleanup(func() {
		if err := srv.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	c, err := NewClient(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestRoundTrip(t *testing.T) {
	// The directory's name is longer than a socket address may be.
	dir := filepath.Join(t.TempDir(), strings.Repeat("long-", 30))
	var asked mail.SearchRequest
	path := SocketPath(dir, "archive")
	c := start(t, path, Service{
		Search: func(_ context.Context, r mail.SearchRequest) (mail.SearchAnswer, error) {
			asked = r
			if r.Query == "bad" {
				return mail.SearchAnswer{}, mail.WithHint(mail.Errorf(mail.Invalid, "position 3: what"), "do this")
			}
			return mail.SearchAnswer{Total: 7, Hits: []mail.Hit{{ID: mail.ID{Partition: 1, Seq: 2}}}}, nil
		},
		IndexSummary: func(_ context.Context, p uint16) (mail.ViewSummary, error) {
			return mail.ViewSummary{Position: uint64(p), Digest: mail.DigestOf(nil)}, nil
		},
		IndexDocuments: func(_ context.Context, _ uint16, yield func(uint64) bool) error {
			for i := range uint64(100_000) {
				if !yield(i) {
					break
				}
			}
			return nil
		},
	})
	want := mail.SearchRequest{Query: `from:a "b & c" ü`, Limit: 3, After: "x/y", Zone: "+02:00", Strict: true, Explain: true, By: mail.ByRelevance, Facets: []string{"sender"}, Partly: true}
	a, err := c.Search(t.Context(), want)
	if err != nil || !reflect.DeepEqual(asked, want) || a.Total != 7 || a.Hits[0].ID.Seq != 2 {
		t.Errorf("search: %+v, %v; asked %+v", a, err, asked)
	}
	_, err = c.Search(t.Context(), mail.SearchRequest{Query: "bad"})
	if mail.KindOf(err) != mail.Invalid || mail.HintOf(err) != "do this" || err.Error() != "position 3: what" {
		t.Errorf("failure: %v", err)
	}
	if s, err := c.Summary(t.Context(), "index", 9); err != nil || s.Position != 9 || s.Digest != mail.DigestOf(nil) {
		t.Errorf("summary: %+v, %v", s, err)
	}
	if _, err := c.Summary(t.Context(), "catalog", 0); mail.KindOf(err) != mail.NotFound {
		t.Errorf("absent role: %v", err)
	}
	var sum uint64
	if err := c.Documents(t.Context(), 0, func(n uint64) bool { sum += n; return true }); err != nil || sum != 4999950000 {
		t.Errorf("documents: %d, %v", sum, err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v", fi, err)
	}
}

func TestDocumentsBrokenOff(t *testing.T) {
	c := start(t, SocketPath(t.TempDir(), "index"), Service{
		IndexDocuments: func(_ context.Context, _ uint16, yield func(uint64) bool) error {
			for i := range uint64(50_000) {
				yield(i)
			}
			return mail.Errorf(mail.Corrupt, "index damaged")
		},
	})
	if err := c.Documents(t.Context(), 0, func(uint64) bool { return true }); err == nil {
		t.Error("a list that broke off was taken as whole")
	}
}

func TestSocketOwnership(t *testing.T) {
	path := SocketPath(t.TempDir(), "archive")
	if _, err := NewClient(t.Context(), path); err != ErrNoProcess {
		t.Errorf("no socket: %v", err)
	}
	l, err := ListenSocket(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ListenSocket(t.Context(), path); mail.KindOf(err) != mail.InUse {
		t.Errorf("second listener: %v", err)
	}
	l.Close()
	if _, err := NewClient(t.Context(), path); err != ErrNoProcess {
		t.Errorf("stale socket: %v", err)
	}
	l, err = ListenSocket(t.Context(), path)
	if err != nil {
		t.Fatalf("stale socket not replaced: %v", err)
	}
	l.Close()
}

func TestPublicRoutes(t *testing.T) {
	text := func(s string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(s)) })
	}
	srv := httptest.NewServer(Public(text("h"), text("r"), text("m")))
	defer srv.Close()
	for path, status := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 200, "/v1/status": 404, "/": 404} {
		resp, err := http.Get(srv.URL + path)
		if err != nil || resp.StatusCode != status {
			t.Errorf("%s: %v, %v", path, resp, err)
		}
		resp.Body.Close()
	}
}

func TestHistoryRoundTrip(t *testing.T) {
	c := start(t, SocketPath(t.TempDir(), "archive"), Service{
		History: func(_ context.Context, mailbox string, limit int) (any, error) {
			if limit == 0 {
				return nil, mail.Errorf(mail.Invalid, "0 sessions")
			}
			return map[string]int{mailbox: limit}, nil
		},
	})
	got := map[string]int{}
	name := "büro & co/../?limit=1"
	if err := c.History(t.Context(), name, 7, &got); err != nil || got[name] != 7 {
		t.Errorf("%v, %v", got, err)
	}
	if err := c.History(t.Context(), name, 0, &got); mail.KindOf(err) != mail.Invalid {
		t.Errorf("limit 0: %v", err)
	}
	if err := c.get(t.Context(), "/v1/history?name=x&limit=y", &got); mail.KindOf(err) != mail.Invalid {
		t.Errorf("limit y: %v", err)
	}
}

func TestProbeRoundTrip(t *testing.T) {
	c := start(t, SocketPath(t.TempDir(), "archive"), Service{
		Probe: func(_ context.Context, mailbox string, force bool) (any, error) {
			if mailbox == "" {
				return nil, mail.Errorf(mail.NotFound, "no mailbox")
			}
			return map[string]bool{mailbox: force}, nil
		},
	})
	for _, force := range []bool{true, false} {
		got := map[string]bool{}
		if err := c.Probe(t.Context(), "a & b", force, &got); err != nil || len(got) != 1 || got["a & b"] != force {
			t.Errorf("%v, %v", got, err)
		}
	}
	if err := c.Probe(t.Context(), "", true, nil); mail.KindOf(err) != mail.NotFound {
		t.Errorf("unknown: %v", err)
	}
	if err := c.get(t.Context(), "/v1/probe?name=x", nil); err == nil {
		t.Error("a GET logs in somewhere")
	}
}

func TestResetRoundTrip(t *testing.T) {
	var asked []string
	c := start(t, SocketPath(t.TempDir(), "archive"), Service{Reset: func(_ context.Context, mailbox string) error {
		asked = append(asked, mailbox)
		if mailbox == "busy" {
			return mail.WithHint(mail.Errorf(mail.InUse, "in session"), "wait")
		}
		return nil
	}})
	if err := c.Reset(t.Context(), "a & b"); err != nil || len(asked) != 1 || asked[0] != "a & b" {
		t.Errorf("%v, %q", err, asked)
	}
	if err := c.Reset(t.Context(), "busy"); mail.KindOf(err) != mail.InUse || mail.HintOf(err) != "wait" {
		t.Errorf("busy: %v", err)
	}
}
