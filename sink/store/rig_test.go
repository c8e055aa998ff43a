package store_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/internal/lab"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/store"
)

// bucketOf returns the store in a bucket with Object Lock of the gateway.
func bucketOf(t testing.TB, g *lab.Gateway, url, bucket string) *store.S3 {
	t.Helper()
	s, err := store.NewS3(store.S3Options{
		Endpoint: url, Region: "us-east-1", Bucket: bucket, Prefix: "archive", AllowPlain: true, PathStyle: true, Timeout: 5 * time.Second,
		Secret: func() (string, string, error) { return g.Access, g.Secret, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newBucket(t testing.TB, g *lab.Gateway, bucket string) *store.S3 {
	t.Helper()
	s := bucketOf(t, g, g.URL, bucket)
	if err := s.MakeBucket(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// newDir returns a store on a file system in memory, and its clock.
func newDir(t testing.TB, fsys durable.FS) *store.Dir {
	t.Helper()
	return store.NewDir(fsys, "memory", false, nil)
}

func content(b []byte) store.Content {
	return store.Content{ReaderAt: bytes.NewReader(b), Size: int64(len(b)), Sum: mail.DigestOf(b)}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) //nolint:errcheck // it never fails
	return b
}

func in(d time.Duration) time.Time { return time.Now().Add(d).UTC().Truncate(time.Second) }

func read(t testing.TB, s store.Store, ref store.Ref, off, n int64) []byte {
	t.Helper()
	r, err := s.GetRange(t.Context(), ref, off, n)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	return b
}

func put(t testing.TB, s store.Store, name string, b []byte, r store.Retention) store.Object {
	t.Helper()
	o, err := s.PutIfAbsent(t.Context(), name, content(b), r)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func wantKind(t testing.TB, what string, err error, kind mail.Kind) {
	t.Helper()
	if err == nil || mail.KindOf(err) != kind {
		t.Errorf("%s: %v, of kind %s and not %s", what, err, mail.KindOf(err), kind)
	}
}

// kinds are the drivers, each with a new store.
func kinds(t *testing.T) map[string]store.Store {
	return map[string]store.Store{
		"dir": newDir(t, durabletest.New()),
		"s3":  newBucket(t, lab.StartGateway(t), "conformance"),
	}
}

// A journal stands for the ledger that takes the events of a Spool.
type journal struct {
	mu     sync.Mutex
	events []mail.Stored
	err    error
}

func (j *journal) record(_ context.Context, e mail.Stored) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil {
		j.events = append(j.events, e)
	}
	return j.err
}
