package ledger

import (
	"errors"
	"io/fs"
)

// Usage returns how many segments there are, the open one included, and how many
// octets all files of the ledger have, what recovery set aside included. It asks
// the file system, so it may be a moment ahead of Size.
func (v *view) Usage() (segments int, octets int64, err error) {
	entries, err := v.files.fs.ReadDir(".")
	if err != nil {
		return 0, 0, classify(err)
	}
	var l listing
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has just got its other name
		}
		if err != nil {
			return 0, 0, classify(err)
		}
		l.add(e.Name())
		octets += info.Size()
	}
	// For a moment a segment has both names.
	names := make(map[uint64]bool)
	for _, first := range append(l.sealed, l.open...) {
		names[first] = true
	}
	return len(names), octets, nil
}
