package app

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable"
)

// TestProtection: sealed segments get the immutable flag, or the status says why not.
func TestProtection(t *testing.T) {
	p := newPlant(t, 2, "", "alice")
	p.config.Archive.Immutable = "auto"
	p.drain(t)
	dir := filepath.Join(p.config.Archive.Dir, ledgerDir, "0000")
	files, err := durable.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer closeOK(t, files)
	name := "0000000000000000.seg"
	flag := func() bool {
		f, err := files.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		on, err := durable.IsImmutable(f)
		if err := errors.Join(err, f.Close()); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			t.Error(err)
		}
		return on
	}
	defer func() { // else nobody could remove it
		f, err := files.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if flag() {
			err = durable.SetImmutable(f, false)
		}
		if err := errors.Join(err, f.Close()); err != nil {
			t.Error(err)
		}
	}()
	a, err := New(t.Context(), p.config, nil, console(t))
	if err == nil {
		err = a.startProtection(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	late := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for a.partitions[0].protectStatus() == nil {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("nobody looked")
		}
	}
	r, err := a.status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	switch s := r.Partitions[0].Immutable; {
	case s.Problem == "":
		if s.Segments < 1 || !flag() || os.Remove(filepath.Join(dir, name)) == nil {
			t.Errorf("told %+v, the flag is %v", s, flag())
		}
	case flag():
		t.Errorf("told %+v, and the flag is set", s)
	default:
		t.Logf("no flag here: %s", s.Problem)
	}
	if err := a.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
