package durable

import (
	"errors"
	"io/fs"
	"testing"
)

// TestImmutable: either the flag is set and the file cannot be removed, or
// SetImmutable says that it is not.
func TestImmutable(t *testing.T) {
	dir, err := OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	f, err := dir.Create("a")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	err = SetImmutable(f, true)
	on, rerr := IsImmutable(f)
	switch {
	case err == nil:
		if rerr != nil || !on {
			t.Fatalf("the flag was set, and reads %v, %v", on, rerr)
		}
		if err := dir.Remove("a"); err == nil {
			t.Fatal("an immutable file was removed")
		}
		if err := SetImmutable(f, false); err != nil {
			t.Fatal(err)
		}
	case errors.Is(err, errors.ErrUnsupported), errors.Is(err, fs.ErrPermission):
		t.Logf("not here: %v", err)
		if on {
			t.Fatal("it failed, and the flag is set")
		}
	default:
		t.Fatal(err)
	}
	if err := dir.Remove("a"); err != nil {
		t.Fatal(err)
	}
}
