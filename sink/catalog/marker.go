package catalog

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/mailkeep/mailkeep/internal/durable"
)

// A state is what the marker says of the catalog beside it.
type state int

const (
	markNone      state = iota // no marker, or one that cannot be read
	markClosed                 // closed: every page is on disk
	markOpenHere               // open, or its process died, under this boot of the machine
	markOpenOther              // it was open when the machine stopped
)

const (
	wordClosed = "closed"
	wordOpen   = "open "
	// bootIDFile names the running kernel's boot; another one after each start
	// of the machine (random(4)).
	bootIDFile = "/proc/sys/kernel/random/boot_id"
)

// A marker is the file NAME.state that tells whether the catalog NAME can be
// trusted, together with the lock NAME.lock.
type marker struct {
	dir  *durable.Dir
	lock io.Closer
	name string // of the catalog in dir
	boot string
}

// lockMarker locks the catalog in the file path, at once or not at all.
func lockMarker(path string) (marker, error) {
	dir, err := durable.MakeDir(filepath.Dir(path))
	if err != nil {
		return marker{}, err
	}
	m := marker{dir: dir, name: filepath.Base(path), boot: bootID()}
	if m.lock, err = dir.Lock(m.name + ".lock"); err != nil {
		return marker{}, errors.Join(err, dir.Close())
	}
	return m, nil
}

func (m marker) unlock() error { return errors.Join(m.lock.Close(), m.dir.Close()) }

// bootID is empty where the system has none: then nothing left open is trusted.
func bootID() string {
	b, err := os.ReadFile(bootIDFile)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func (m marker) read() (state, error) {
	b, err := durable.ReadFile(m.dir, m.name+".state")
	if errors.Is(err, fs.ErrNotExist) {
		return markNone, nil
	}
	if err != nil {
		return markNone, err
	}
	word := strings.TrimSuffix(string(b), "\n")
	boot, open := strings.CutPrefix(word, wordOpen)
	switch {
	case word == wordClosed:
		return markClosed, nil
	case open && boot == m.boot && boot != "":
		return markOpenHere, nil
	case open:
		return markOpenOther, nil
	}
	return markNone, nil
}

// write sets the marker, durably.
func (m marker) write(s state) error {
	word := wordClosed
	if s == markOpenHere {
		word = wordOpen + m.boot
	}
	return kindOf(durable.WriteFile(m.dir, m.name+".state", []byte(word+"\n")))
}
