package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

// NoteSuffix ends the name of the file beside a segment that says where it is
// stored.
const NoteSuffix = ".stored"

const segmentSuffix = ".seg"

// isSegment reports whether a name is that of a sealed segment.
func isSegment(name string) bool {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok || len(digits) != 16 || strings.ToLower(digits) != digits {
		return false
	}
	_, err := strconv.ParseUint(digits, 16, 64)
	return err == nil
}

// A note is what is known of a stored segment, as JSON in <segment>.stored. It is
// written when the segment was read back from the store well.
type note struct {
	Format int         `json:"format"` // 1
	Octets int64       `json:"octets"`
	Sum    mail.Digest `json:"sha256"`
	Store  string      `json:"store"` // for people
	Ref
	Retention Retention `json:"retention,omitzero"`
	Sealed    time.Time `json:"sealed"` // modification time of the local file
	Stored    time.Time `json:"stored"`
	Held      bool      `json:"held,omitempty"` // under legal hold in the store
	// Listed says that all this is from a listing of the store: Sum and Retention are
	// not known.
	Listed bool `json:"listed,omitempty"`
}

func (n note) content(f durable.File) Content {
	return Content{ReaderAt: f, Size: n.Octets, Sum: n.Sum}
}

func writeNote(fsys durable.FS, segment string, n note) error {
	b, err := json.MarshalIndent(n, "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(fsys, segment+NoteSuffix, append(b, '\n'))
}

// readNote returns the note of a segment; fs.ErrNotExist if there is none, and
// mail.Corrupt if it is damaged.
func readNote(fsys durable.FS, segment string) (note, error) {
	b, err := durable.ReadFile(fsys, segment+NoteSuffix)
	if err != nil {
		return note{}, err
	}
	n, err := parseNote(b)
	if err != nil {
		return n, mail.WithHint(mail.Errorf(mail.Corrupt, "%s: %w", segment+NoteSuffix, err),
			"Restore this file from a copy of the archive. While the segment itself is there, removing the file has it stored and noted again.")
	}
	return n, nil
}

func parseNote(b []byte) (note, error) {
	var n note
	if err := json.Unmarshal(b, &n); err != nil {
		return n, err
	}
	switch {
	case n.Format != 1:
		return n, fmt.Errorf("it has format %d, this version reads format 1", n.Format)
	case n.Octets <= 0 || n.Sum.IsZero() && !n.Listed:
		return n, errors.New("it does not say what was stored")
	}
	return n, checkName(n.Name)
}

// A fileInfo is that of a segment which is in the store alone.
type fileInfo struct {
	name string
	note note
}

func (i fileInfo) Name() string               { return i.name }
func (i fileInfo) Size() int64                { return i.note.Octets }
func (i fileInfo) Mode() fs.FileMode          { return 0o444 }
func (i fileInfo) ModTime() time.Time         { return i.note.Sealed }
func (i fileInfo) IsDir() bool                { return false }
func (i fileInfo) Sys() any                   { return nil }
func (i fileInfo) Type() fs.FileMode          { return 0 }
func (i fileInfo) Info() (fs.FileInfo, error) { return i, nil }
