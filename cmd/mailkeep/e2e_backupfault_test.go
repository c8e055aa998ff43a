package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/internal/lab"
)

// TestFaultsOfCopies makes system calls of backup, restore and repair fail, or kills
// them: they say so, what was good stays good, and the next run completes.
func TestFaultsOfCopies(t *testing.T) {
	d := lab.StartDovecot(t, "anna", "bert")
	x := &tampered{site: drill(t, d)}
	want := map[string]map[[32]byte]int{"anna": deliverNumbered(t, d, "anna", 0, 8)}
	x.run(0, "drain", "--once")
	x.good = filepath.Join(x.dir, "good")
	x.replace(x.good, x.archive())
	store, fresh := filepath.Join(x.dir, "store"), filepath.Join(x.dir, "fresh")
	whole := filepath.Join(x.dir, "whole")
	x.run(0, "backup", whole)
	ledger := filepath.Join(x.archive(), "ledger/0000")

	for name, tc := range map[string]struct {
		args  []string
		fault fault
	}{
		"backup write EIO":      {[]string{"backup", store}, fault{[]string{store + "/objects/incoming"}, "write", "error=EIO", "2", saysEIO}},
		"backup write ENOSPC":   {[]string{"backup", store}, fault{[]string{store + "/objects/incoming"}, "write", "error=ENOSPC", "1", saysENOSPC}},
		"backup fdatasync EIO":  {[]string{"backup", store}, fault{[]string{store + "/objects/incoming"}, "fdatasync", "error=EIO", "3", saysEIO}},
		"backup rename EIO":     {[]string{"backup", store}, fault{nil, "renameat", "error=EIO", "3", saysEIO}},
		"backup killed":         {[]string{"backup", store}, fault{nil, "renameat", "signal=KILL", "4", ""}},
		"restore write ENOSPC":  {[]string{"restore", whole, "--to", fresh}, fault{[]string{fresh + "/ledger/0000/0000000000000000.seg"}, "write", "error=ENOSPC", "1", saysENOSPC}},
		"restore fdatasync EIO": {[]string{"restore", whole, "--to", fresh}, fault{[]string{fresh + "/ledger/0000/0000000000000000.seg"}, "fdatasync", "error=EIO", "1", saysEIO}},
		"restore killed":        {[]string{"restore", whole, "--to", fresh}, fault{[]string{fresh + "/ledger/0000/0000000000000000.seg"}, "fdatasync", "signal=KILL", "1", ""}},
		"repair write EIO":      {[]string{"repair", "--from", whole}, fault{[]string{ledger + "/0000000000000000.seg.repair"}, "write", "error=EIO", "1", saysEIO}},
		"repair link EIO":       {[]string{"repair", "--from", whole}, fault{[]string{ledger}, "linkat", "error=EIO", "1", saysEIO}},
		"repair rename ENOSPC":  {[]string{"repair", "--from", whole}, fault{[]string{ledger}, "renameat", "error=ENOSPC", "1", saysENOSPC}},
		"repair killed":         {[]string{"repair", "--from", whole}, fault{[]string{ledger}, "fsync", "signal=KILL", "1", ""}},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			s := &tampered{site: &site{t: t, dir: x.dir, config: x.config}, good: x.good}
			s.again()
			if err := errors.Join(os.RemoveAll(store), os.RemoveAll(fresh)); err != nil {
				t.Fatal(err)
			}
			if tc.args[0] == "repair" {
				path, frames, rest := s.frames()
				frames[2][240] ^= 1
				s.write(path, frames, rest)
			}
			status, said, struck := s.hit(tc.fault, tc.args...)
			switch {
			case struck == 0:
				t.Errorf("the fault did not happen: the test tests nothing; status %d\n%s", status, tail(said))
			case tc.fault.kills():
			case status <= 0 || !strings.Contains(said, tc.fault.says):
				t.Errorf("status %d does not tell %q:\n%s", status, tc.fault.says, tail(said))
			}
			if tc.args[0] == "restore" {
				if _, err := os.Stat(filepath.Join(fresh, "ARCHIVE")); err == nil {
					t.Error("a restoration that failed left an archive")
				}
				if err := os.RemoveAll(fresh); err != nil {
					t.Fatal(err)
				}
			}
			s.run(0, tc.args...)
			switch tc.args[0] {
			case "backup":
				s.run(0, "backup", "--check", store)
			case "restore":
				s.replace(s.archive(), fresh)
			}
			s.run(0, "drain", "--once") // signs what repair has told
			s.run(0, "verify")
			s.judge(want)
		})
	}
}
