package catalog

import (
	"errors"
	"fmt"
	"hash/crc32"
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
	markClosed                 // closed: every page is on disk, and as the sum says
	markOpenHere               // open, or its process died, under this boot of the machine
	markOpenOther              // it was open when the machine stopped
)

const (
	wordClosed = "closed " // followed by the sum of the file
	wordOpen   = "open "   // followed by the boot id
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

// read returns what the marker says and, if that is markClosed, the sum of the
// file.
func (m marker) read() (state, string, error) {
	b, err := durable.ReadFile(m.dir, m.name+".state")
	if errors.Is(err, fs.ErrNotExist) {
		return markNone, "", nil
	}
	if err != nil {
		return markNone, "", err
	}
	word := strings.TrimSuffix(string(b), "\n")
	if sum, closed := strings.CutPrefix(word, wordClosed); closed {
		return markClosed, sum, nil
	}
	boot, open := strings.CutPrefix(word, wordOpen)
	switch {
	case open && boot == m.boot && boot != "":
		return markOpenHere, "", nil
	case open:
		return markOpenOther, "", nil
	}
	return markNone, "", nil
}

// open says, durably, that the catalog is open from now on.
func (m marker) open() error { return m.write(wordOpen + m.boot) }

// closed says, durably, that every page is on disk.
func (m marker) closed() error {
	sum, err := m.sum()
	if err != nil {
		return err
	}
	return m.write(wordClosed + sum)
}

func (m marker) write(word string) error {
	return kindOf(durable.WriteFile(m.dir, m.name+".state", []byte(word+"\n")))
}

// sum returns the size and the CRC-32C of the catalog's file: damage is what it
// is to find, not forgery.
func (m marker) sum() (string, error) {
	f, err := m.dir.Open(m.name)
	if err != nil {
		return "", err
	}
	h := crc32.New(castagnoli())
	n, err := io.Copy(h, f)
	if err := errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d %08x", n, h.Sum32()), nil
}
