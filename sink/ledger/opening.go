package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/keys"
)

// keyFresh is how long a tree of keys is used before its key file is read again:
// so long another process may read what was erased in this one.
const keyFresh = time.Minute

// A library is what a ledger needs beside its segments to read them.
type library struct {
	dictionaries map[uint32]*Dictionary
	keys         *keys.Dir // nil: none
}

func newLibrary(o Options) library {
	all := o.Dictionaries
	if o.Dictionary != nil {
		all = append(all[:len(all):len(all)], o.Dictionary)
	}
	return library{dictionaries: shelf(all), keys: o.Keys}
}

// An opening finds the means to open the bodies of one segment.
type opening struct {
	library
	f     io.ReaderAt
	first uint64

	once sync.Once
	note *openNote // nil if it cannot be read, which is found elsewhere

	mu   sync.Mutex // held while the key file is read
	tree *keys.Tree
	read time.Time // when tree was
}

func (l library) opening(f io.ReaderAt, first uint64) *opening {
	return &opening{library: l, f: f, first: first}
}

// means returns what opens the body of the record. Errors have their kind:
// mail.NotFound for a dictionary or key file that is missing, mail.Denied
// without a key source, and those of keys.Dir.Load.
func (o *opening) means(ctx context.Context, h *header) (m means, err error) {
	switch h.compression() {
	case codecZstd:
		m.coder = plain
	case codecZstdDict:
		if m.coder, err = o.against(h.dict); err != nil {
			return m, err
		}
	}
	if h.cipher != cipherNone {
		m.tree, err = o.unlock(ctx, h.segment)
	}
	return m, err
}

// against returns the coder of a dictionary that is the one which the segment
// was written with.
func (o *opening) against(id uint32) (*coder, error) {
	d := o.dictionaries[id]
	if d == nil {
		return nil, noDictionary(id, "is not at hand")
	}
	o.once.Do(func() { _, o.note = readOpen(o.f) })
	if o.note == nil {
		return d.coder, nil // the commitments will tell
	}
	if n := o.note.Dictionary; n == nil || n.ID != d.ID() || n.Sum != d.Sum() {
		return nil, noDictionary(id, "is not the one that the segment was written with")
	}
	return d.coder, nil
}

func (o *opening) unlock(ctx context.Context, number uint32) (*keys.Tree, error) {
	if o.keys == nil {
		return nil, errNoKeys()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.tree != nil && time.Since(o.read) < keyFresh {
		return o.tree, nil
	}
	now := time.Now()
	t, err := o.keys.Load(ctx, o.first, number)
	if err != nil {
		return nil, err
	}
	o.tree, o.read = t, now
	return t, nil
}

// puncture takes keys out of the tree that is in memory.
func (o *opening) puncture(indices []uint32) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.tree == nil {
		return nil
	}
	return o.tree.Puncture(indices...)
}

func errNoKeys() error {
	return mail.WithHint(mail.Errorf(mail.Denied, "the record is encrypted, and no key is configured"),
		"Set encryption.key_file, encryption.key_env or encryption.vault to the key source that the archive was made with.")
}

// isErased reports whether an error says that a record was erased.
func isErased(err error) bool { return errors.Is(err, keys.ErrErased) }

// A DictionaryID is the id of a dictionary as segments name it: 8 hexadecimal
// digits.
type DictionaryID uint32

// MarshalText implements encoding.TextMarshaler.
func (d DictionaryID) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%08x", uint32(d)), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *DictionaryID) UnmarshalText(b []byte) error {
	var v uint32
	if n, err := fmt.Sscanf(string(b), "%08x", &v); err != nil || n != 1 || len(b) != 8 {
		return fmt.Errorf("dictionary id %.20q is not of 8 hexadecimal digits", b)
	}
	*d = DictionaryID(v)
	return nil
}

// openNote is the metadata of a segment open record.
type openNote struct {
	Format     int       `json:"format"`
	Archive    string    `json:"archive"` // UUID in hexadecimal
	Partition  uint16    `json:"partition"`
	Software   string    `json:"software,omitempty"`
	Host       string    `json:"host,omitempty"`
	Dictionary *dictNote `json:"dictionary,omitempty"` // nil: no record needs one
	Cipher     uint8     `json:"cipher,omitempty"`     // of the records that are not bookkeeping
	Epoch      uint64    `json:"epoch,omitempty"`      // of the writer's lease; 0: it had none
}

// A dictNote names the dictionary of a segment.
type dictNote struct {
	ID  DictionaryID `json:"id"`
	Sum mail.Digest  `json:"sha256"`
}

// readOpen reads the record that begins a segment, and its metadata: nil if it
// cannot be read.
func readOpen(f io.ReaderAt) (header, *openNote) {
	w := newGlance(f)
	h, _, err := w.header(0)
	if err != nil || h.typ != typeOpen {
		return h, nil
	}
	body, err := w.body(0, &h)
	if err != nil {
		return h, nil
	}
	d, err := openBookkeeping(&h, body)
	if err != nil {
		return h, nil
	}
	n := new(openNote)
	if json.Unmarshal(d.meta, n) != nil {
		return h, nil
	}
	return h, n
}
