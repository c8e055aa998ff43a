package durable

import (
	"fmt"
	"path"
)

// WriteOnce writes a new file such that after a crash it is there whole or not
// at all. It never replaces: fs.ErrExist if the name is taken. On nil the file
// is durable.
func WriteOnce(fsys FS, name string, data []byte) error {
	tmp := name + ".tmp"
	err := writeNew(fsys, tmp, data)
	// If we die here, a stray .tmp lies there, which the next call removes.
	if err == nil {
		err = fsys.Link(tmp, name)
	}
	if rerr := fsys.Remove(tmp); err == nil {
		err = rerr
	}
	if err == nil {
		err = fsys.SyncDir(path.Dir(name))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
