package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/sink/keys"
)

// The names of the files of a ledger: the first sequence number in 16
// hexadecimal digits, and what the file is.
const (
	sealedSuffix  = ".seg"
	openSuffix    = ".seg.open"
	recoverSuffix = ".seg.recover" // a copy in the making; worth nothing after a crash
	tornSuffix    = ".torn"        // set aside: what recovery did not take over
	damagedSuffix = ".damaged"     // set aside: what was repaired
	repairSuffix  = ".seg.repair"  // a segment in the making; worth nothing after a crash
)

// LockName is the file in the directory of a ledger whose lock its writer holds.
const LockName = "lock"

func sealedName(first uint64) string  { return fmt.Sprintf("%016x%s", first, sealedSuffix) }
func openName(first uint64) string    { return fmt.Sprintf("%016x%s", first, openSuffix) }
func recoverName(first uint64) string { return fmt.Sprintf("%016x%s", first, recoverSuffix) }
func repairName(first uint64) string  { return fmt.Sprintf("%016x%s", first, repairSuffix) }

// A listing is what is in the directory of a ledger, in order.
type listing struct {
	sealed, open []uint64 // first sequence numbers
	recover      []string
	aside        []string
	strange      []string
}

func list(fsys durable.FS) (listing, error) {
	var l listing
	entries, err := fsys.ReadDir(".")
	if err != nil {
		return l, err
	}
	for _, e := range entries {
		l.add(e.Name())
	}
	return l, nil
}

func (l *listing) add(name string) {
	first, ok := firstOf(name)
	switch {
	case ok && name == sealedName(first):
		l.sealed = append(l.sealed, first)
	case ok && name == openName(first):
		l.open = append(l.open, first)
	case ok && name == recoverName(first):
		l.recover = append(l.recover, name)
	case ok && (strings.Contains(name, tornSuffix) || strings.Contains(name, damagedSuffix) || name == repairName(first)):
		l.aside = append(l.aside, name)
	case name != LockName && strings.TrimSuffix(name, ".tmp") != ownerName && !keys.Owns(name): // key files may lie beside the segments
		l.strange = append(l.strange, name)
	}
}

func firstOf(name string) (uint64, bool) {
	digits, _, found := strings.Cut(name, ".")
	if !found || len(digits) != 16 {
		return 0, false
	}
	first, err := strconv.ParseUint(digits, 16, 64)
	return first, err == nil
}

// keepAside gives a file the second name <name>.damaged, or .damaged.1 and so on
// where that is taken. It is durable after the next SyncDir.
func keepAside(fsys durable.FS, name string) (string, error) {
	aside := name + damagedSuffix
	for i := 1; ; i++ {
		err := fsys.Link(name, aside)
		if !errors.Is(err, fs.ErrExist) {
			return aside, err
		}
		aside = fmt.Sprintf("%s%s.%d", name, damagedSuffix, i)
	}
}

// setAside renames a file to <name>.torn, or .torn.1 and so on where that is
// taken. The rename is durable after the next SyncDir.
func setAside(fsys durable.FS, name string) (string, error) {
	aside := name + tornSuffix
	for i := 1; ; i++ {
		_, err := fsys.Stat(aside)
		if errors.Is(err, fs.ErrNotExist) {
			return aside, fsys.Rename(name, aside)
		}
		if err != nil {
			return "", err
		}
		aside = fmt.Sprintf("%s%s.%d", name, tornSuffix, i)
	}
}
