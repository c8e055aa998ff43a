package store_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/internal/lab"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/store"
)

// A fault is what a proxy does with one request.
type fault int

const (
	refuse     fault = iota // 503, the store does not see it
	lostAnswer              // the store has done it, the answer is a 500
	cut                     // the connection ends, the store does not see it
	cutAfter                // the store has done it, the connection ends
	short                   // the answer's body ends in the middle, with the connection
	denied                  // 403
	full                    // 507
	changed                 // a byte of the answer's body is another
	hang                    // no answer comes
	faults
)

func (f fault) String() string {
	return [...]string{"refuse", "lost answer", "cut", "cut after", "short", "denied", "full", "changed", "hang"}[f]
}

// A proxy stands before a gateway and fails the n-th request and those that follow
// it, count of them.
type proxy struct {
	fault    fault
	n, count int
	next     http.Handler
	over     chan struct{} // closed when the test ends

	mu   sync.Mutex
	seen int
	log  []string
}

func newProxy(t testing.TB, g *lab.Gateway, f fault, n, count int) (*proxy, string) {
	t.Helper()
	target, err := url.Parse(g.URL)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{fault: f, n: n, count: count, over: make(chan struct{}), next: &httputil.ReverseProxy{
		// The name of the host is signed.
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host },
		ErrorLog: log.New(io.Discard, "", 0),
	}}
	srv := httptest.NewServer(p)
	t.Cleanup(func() {
		close(p.over)
		srv.CloseClientConnections()
		srv.Close()
	})
	return p, srv.URL
}

func (p *proxy) due(r *http.Request) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.seen
	p.seen++
	p.log = append(p.log, r.Method+" "+r.URL.Path)
	return k >= p.n && k < p.n+p.count
}

func (p *proxy) requests() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !p.due(r) {
		p.next.ServeHTTP(w, r)
		return
	}
	switch p.fault {
	case refuse, denied, full:
		io.Copy(io.Discard, r.Body) //nolint:errcheck // it is not wanted
		w.WriteHeader(map[fault]int{refuse: 503, denied: 403, full: 507}[p.fault])
	case hang:
		io.Copy(io.Discard, r.Body) //nolint:errcheck // only then is the client's end noticed
		select {
		case <-r.Context().Done():
		case <-p.over:
		}
	case cut:
		panic(http.ErrAbortHandler)
	default:
		p.after(w, r)
	}
}

// after has the store do it first.
func (p *proxy) after(w http.ResponseWriter, r *http.Request) {
	rec := httptest.NewRecorder()
	p.next.ServeHTTP(rec, r)
	body := rec.Body.Bytes()
	switch p.fault {
	case lostAnswer:
		w.WriteHeader(500)
		return
	case cutAfter:
		panic(http.ErrAbortHandler)
	case changed:
		if len(body) > 0 && r.Method == http.MethodGet {
			body[len(body)/2] ^= 1
		}
	}
	maps.Copy(w.Header(), rec.Header())
	w.WriteHeader(rec.Code)
	if p.fault == short {
		w.Write(body[:len(body)/2])           //nolint:errcheck // it is cut anyway
		http.NewResponseController(w).Flush() //nolint:errcheck // as above
		panic(http.ErrAbortHandler)
	}
	w.Write(body) //nolint:errcheck // the other side tells
}

// TestFaultsOfTheStore: whatever fails at whichever request, no segment is removed
// that is not safely stored, in the end all are stored, each once, and nothing hangs.
func TestFaultsOfTheStore(t *testing.T) {
	g := lab.StartGateway(t)
	segments := [][]byte{randomBytes(300_000), randomBytes(5000), randomBytes(40)}
	const requests = 11 // of a run without faults: three for each segment, two for each that is removed
	p, u := newProxy(t, g, refuse, 1<<30, 0)
	runFaulty(t, g, u, "none", segments)
	if got := p.requests(); got != requests {
		t.Fatalf("a run takes %d requests, not %d: %s", got, requests, strings.Join(p.log, ", "))
	}
	for f := range faults {
		for n := range requests {
			t.Run(fmt.Sprintf("%s/%d", f, n), func(t *testing.T) {
				t.Parallel()
				p, u := newProxy(t, g, f, n, 1)
				runFaulty(t, g, u, fmt.Sprintf("f%d-%d", f, n), segments)
				if p.requests() <= n {
					t.Errorf("the fault was not reached")
				}
			})
		}
	}
}

// runFaulty makes passes until all is stored and removed.
func runFaulty(t *testing.T, g *lab.Gateway, through, bucket string, segments [][]byte) {
	t.Helper()
	direct := newBucket(t, g, "faults-"+bucket)
	s, err := store.NewS3(store.S3Options{
		Endpoint: through, Region: "us-east-1", Bucket: "faults-" + bucket, Prefix: "archive", AllowPlain: true, PathStyle: true,
		Timeout: 700 * time.Millisecond, Secret: func() (string, string, error) { return g.Access, g.Secret, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	fsys := durabletest.New()
	putSegments(t, fsys, segments)
	o := options(fsys, s, &journal{})
	now := time.Now()
	o.Now = func() time.Time { return now }
	for pass := 0; ; pass++ {
		err := store.NewSpool(o).Pass(t.Context())
		if err != nil && mail.KindOf(err) == mail.Other {
			t.Errorf("an error without a kind: %v", err)
		}
		checkSafe(t, fsys, direct, segments)
		if err == nil && !here(fsys, segmentName(0)) && !here(fsys, segmentName(1)) {
			break
		}
		if now = now.Add(2 * time.Hour); pass == 12 {
			t.Fatalf("it does not come to an end: %v", err)
		}
	}
	versions := 0
	for _, err := range direct.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		versions++
	}
	if versions != len(segments) {
		t.Errorf("there are %d versions of %d objects", versions, len(segments))
	}
}

// checkSafe: each segment reads through the Tree, and one that is not in the
// directory is retained.
func checkSafe(t *testing.T, fsys *durabletest.FS, s store.Store, segments [][]byte) {
	t.Helper()
	for i, b := range segments {
		wantContent(t, fsys, s, segmentName(i), b)
		if here(fsys, segmentName(i)) {
			continue
		}
		o, err := s.Stat(t.Context(), store.Ref{Name: prefix + segmentName(i)})
		if err != nil || o.Retention.Mode != store.Compliance || o.Retention.Until.Before(in(5*365*24*time.Hour)) {
			t.Errorf("segment %d was removed and is stored as %+v, %v", i, o, err)
		}
	}
}

// TestDyingSpool: the process dies at each operation on the file system, with and
// without its effect; after a power cut no segment is lost, and the next process
// comes to the end.
func TestDyingSpool(t *testing.T) {
	segments := [][]byte{[]byte("first"), []byte("second"), []byte("third")}
	for _, persist := range []bool{false, true} {
		for n := 0; ; n++ {
			fsys, s := durabletest.New(), newDir(t, durabletest.New())
			putSegments(t, fsys, segments)
			o := options(fsys, s, &journal{})
			now := time.Now()
			o.Now = func() time.Time { return now }
			before := len(fsys.Ops())
			fsys.StopAt(before+n, persist)
			spool := store.NewSpool(o)
			err := errors.Join(spool.Pass(t.Context()), aged(&now, spool, t))
			for _, keep := range []float64{0, 0.5, 1} {
				after := fsys.Crash(uint64(n), keep)
				checkSafe(t, after, s, segments)
				o.FS = after
				for range 2 {
					now = now.Add(2 * time.Hour)
					if err := store.NewSpool(o).Pass(t.Context()); err != nil {
						t.Fatalf("the next process, after dying at %d: %v", n, err)
					}
				}
				checkSafe(t, after, s, segments)
				if here(after, segmentName(0)) {
					t.Errorf("the next process, after dying at %d, did not come to the end", n)
				}
			}
			if err == nil {
				if n < 10 {
					t.Fatalf("there are only %d operations", n)
				}
				break
			}
		}
	}
}

// aged makes a pass in which segments are to be removed.
func aged(now *time.Time, spool *store.Spool, t *testing.T) error {
	*now = now.Add(2 * time.Hour)
	return spool.Pass(t.Context())
}

// TestClasses: what stores answer has the kind that its reader needs.
func TestClasses(t *testing.T) {
	for _, tc := range []struct {
		status int
		code   string
		kind   mail.Kind
	}{
		{404, "NoSuchBucket", mail.Invalid}, {403, "AccessDenied", mail.Denied}, {403, "InvalidAccessKeyId", mail.Denied},
		{412, "PreconditionFailed", mail.InUse}, {400, "BadDigest", mail.Temporary}, {400, "InvalidRequest", mail.Invalid},
		{507, "XMinioStorageFull", mail.NoSpace}, {507, "", mail.NoSpace}, {401, "", mail.Denied}, {409, "ConditionalRequestConflict", mail.Temporary},
		{501, "NotImplemented", mail.Invalid}, {418, "Whatever", mail.Temporary},
	} {
		t.Run(fmt.Sprintf("%d %s", tc.status, tc.code), func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body) //nolint:errcheck // it is not wanted
				w.WriteHeader(tc.status)
				if tc.code != "" {
					fmt.Fprintf(w, "<Error><Code>%s</Code><Message>no\nERROR</Message></Error>", tc.code)
				}
			}))
			t.Cleanup(srv.Close)
			s := bucketOf(t, &lab.Gateway{Access: "a", Secret: "b"}, srv.URL, "bucket")
			err := s.Replace(t.Context(), "name", []byte("x"))
			wantKind(t, "put", err, tc.kind)
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("the store's text breaks the line: %q", err)
			}
		})
	}
}

// TestS3Options: what cannot be a store is refused before it is spoken to.
func TestS3Options(t *testing.T) {
	for _, o := range []store.S3Options{
		{Endpoint: "s3.example.org"}, {Endpoint: "http://s3.example.org"}, {Endpoint: "https://user:x@s3.example.org"},
		{Endpoint: "https://s3.example.org/bucket"}, {Endpoint: "https://s3.example.org", CAFile: "/nonexistent"},
	} {
		if _, err := store.NewS3(o); mail.KindOf(err) != mail.Invalid {
			t.Errorf("%q is taken: %v", o.Endpoint, err)
		}
	}
}
