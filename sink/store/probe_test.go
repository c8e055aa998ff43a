package store_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/internal/lab"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/store"
)

func probe(t *testing.T, s store.Store, mode store.Mode) store.Finding {
	t.Helper()
	f, err := store.Probe(t.Context(), s, "", mode, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestProbeFindsLock: a bucket with Object Lock in mode compliance holds against the
// administrator of the gateway.
func TestProbeFindsLock(t *testing.T) {
	s := newBucket(t, lab.StartGateway(t), "locked")
	f := probe(t, s, store.Compliance)
	if !f.WORM() || f.Problem() != "" || f.Refused(s) != nil {
		t.Errorf("found %+v", f)
	}
	// The administrator has the right to bypass governance, and the probe finds it.
	f = probe(t, s, store.Governance)
	if f.WORM() || !f.Deleted && !f.Shortened {
		t.Errorf("in mode governance, found %+v", f)
	}
	wantKind(t, "required", f.Refused(s), mail.Denied)
	if f = probe(t, s, store.None); f.WORM() || f.Problem() == "" {
		t.Errorf("without retention, found %+v", f)
	}
}

// TestProbeFindsNoLock: a directory in memory keeps nothing against anybody.
func TestProbeFindsNoLock(t *testing.T) {
	s := newDir(t, durabletest.New())
	f := probe(t, s, store.Compliance)
	if f.WORM() || !f.Deleted {
		t.Errorf("found %+v", f)
	}
	err := f.Refused(s)
	wantKind(t, "required", err, mail.Denied)
	if !strings.Contains(mail.HintOf(err), "Object Lock") || !strings.Contains(err.Error(), "deleted") {
		t.Errorf("it says %v; %s", err, mail.HintOf(err))
	}
}

// TestProbeNoLockBucket: a bucket without Object Lock is not taken for one.
func TestProbeNoLockBucket(t *testing.T) {
	g := lab.StartGateway(t)
	if err := os.Mkdir(g.Buckets+"/plain", 0o755); err != nil {
		t.Fatal(err)
	}
	s := bucketOf(t, g, g.URL, "plain")
	if f, err := store.Probe(t.Context(), s, "", store.Compliance, time.Now()); err == nil && f.WORM() {
		t.Errorf("found %+v", f)
	} else if err != nil && mail.HintOf(err) == "" {
		t.Errorf("%v, of kind %s, has no hint", err, mail.KindOf(err))
	}
}

// TestProbeImmutable: where the flag can be set, a directory holds; where it cannot,
// it is not said that it does.
func TestProbeImmutable(t *testing.T) {
	fsys, err := durable.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer fsys.Close()
	later := time.Now()
	s := store.NewDir(fsys, "test", true, func() time.Time { return later })
	f, err := store.Probe(t.Context(), s, "", store.Compliance, time.Now())
	if err != nil {
		wantKind(t, "probe without the flag", err, mail.Denied)
		t.Logf("the flag cannot be set here: %v", err)
		return
	}
	if !f.WORM() {
		t.Errorf("found %+v", f)
	}
	// The next probe removes what this one left, so that the test can be cleaned up.
	later = later.Add(time.Hour)
	left := 0
	for o, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		left++
		if err := s.DeleteVersion(t.Context(), o.Ref); err != nil {
			t.Fatal(err)
		}
	}
	if left != 1 {
		t.Errorf("the probe left %d objects", left)
	}
}

// TestProbeSweeps: the objects of earlier probes do not pile up.
func TestProbeSweeps(t *testing.T) {
	now := time.Now()
	s := store.NewDir(durabletest.New(), "memory", false, func() time.Time { return now })
	put(t, s, "probe/old", []byte("old"), store.Retention{Mode: store.Compliance, Until: now.Add(5 * time.Minute)})
	now = now.Add(time.Hour)
	if _, err := store.Probe(t.Context(), s, "", store.Compliance, now); err != nil {
		t.Fatal(err)
	}
	_, err := s.Stat(t.Context(), store.Ref{Name: "probe/old"})
	wantKind(t, "stat of an old probe", err, mail.NotFound)
}
