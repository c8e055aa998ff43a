package tlog_test

import (
	"flag"
	"testing"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/sink/tlog"
)

var large = flag.String("large", "", "`directory` to keep the log of TestLargeLog in, for internal/tlogtest")

// A log with tiles of three levels, grown in uneven steps, is proved at both ends
// and in the middle.
func TestLargeLog(t *testing.T) {
	t.Parallel()
	dir := *large
	if dir == "" {
		dir = t.TempDir()
	}
	fsys, err := durable.MakeDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tlog.Open(tlog.Options{FS: fsys, Key: key(t), Trust: trust(t), Now: clock()})
	if err != nil {
		t.Fatal(err)
	}
	var c tlog.Checkpoint
	for _, size := range []uint64{1, 255, 256, 40_000, 65_536, 66_000} {
		root, err := tlog.RootOf(t.Context(), made{}, size)
		if err == nil {
			err = l.Extend(t.Context(), made{}, size, root)
		}
		if err != nil {
			t.Fatal(err)
		}
		if c, err = l.Sign(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	v := tlog.NewView(fsys, trust(t))
	for _, index := range []uint64{0, 255, 256, 65_535, 65_536, 65_999} {
		wantProof(t, v, index, c)
	}
	report, err := tlog.Check(t.Context(), tlog.CheckOptions{FS: fsys, Trust: trust(t), Source: made{},
		Size:  func() (uint64, error) { return 66_001, nil },
		Found: func(f tlog.Finding) { t.Errorf("%s: %s", f.Where, f.Detail) }})
	if err != nil || report.Checkpoints != 6 {
		t.Errorf("%+v, %v", report, err)
	}
}
