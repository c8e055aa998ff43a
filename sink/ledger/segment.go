package ledger

import (
	"crypto/sha256"
	"encoding/json"
	"hash"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/keys"
)

// writeSize is how many octets of frames are collected before they are written.
const writeSize = 1 << 20

// A segmentFile is a segment while it is written: in the life of a ledger and
// in recovery alike.
type segmentFile struct {
	f       durable.File
	name    string
	first   uint64
	off     int64     // behind the last frame, those in buf included
	sum     hash.Hash // of what was written
	offsets []uint64
	buf     []byte
	tree    *keys.Tree // the keys of its records; nil: they are stored in the clear
}

// createSegment makes the file. Its name is not durable before SyncDir.
func createSegment(fsys durable.FS, name string, first uint64) (*segmentFile, error) {
	f, err := fsys.Create(name)
	if err != nil {
		return nil, err
	}
	return &segmentFile{f: f, name: name, first: first, sum: sha256.New()}, nil
}

// write appends octets as they are.
func (s *segmentFile) write(p []byte) error {
	if _, err := s.f.Write(p); err != nil {
		return err
	}
	s.sum.Write(p)
	return nil
}

func (s *segmentFile) flush() error {
	if len(s.buf) == 0 {
		return nil
	}
	err := s.write(s.buf)
	s.buf = s.buf[:0]
	if cap(s.buf) > 4*writeSize {
		s.buf = nil // a large message went through
	}
	return err
}

// sync makes what was added durable.
func (s *segmentFile) sync() error {
	if err := s.flush(); err != nil {
		return err
	}
	return s.f.Sync()
}

// addOpen appends the record that begins each segment.
func (s *segmentFile) addOpen(c *chain, note openNote, now func() time.Time) error {
	b, err := json.Marshal(note)
	if err != nil {
		return err
	}
	e := bookkeeping(typeOpen, b, nil)
	_, err = s.add(c, e, e.header(flagFirst|flagLast|flagCommit), now)
	return err
}

// seal appends the seal record and the tail, and makes the whole durable.
func (s *segmentFile) seal(c *chain, note sealNote, now func() time.Time) error {
	if err := s.flush(); err != nil {
		return err
	}
	content := seal{offsets: s.offsets, size: c.tree.size, root: c.tree.root(), peaks: c.tree.peaks}
	s.sum.Sum(content.sum[:0])
	b, err := json.Marshal(note)
	if err != nil {
		return err
	}
	e := bookkeeping(typeSeal, b, content.encode())
	sealOff := s.off
	if _, err := s.add(c, e, e.header(flagFirst|flagLast|flagCommit), now); err != nil {
		return err
	}
	s.offsets = s.offsets[:len(s.offsets)-1] // the seal does not list itself
	s.buf = appendTail(s.buf, sealOff)
	s.off += tailSize
	return s.sync()
}

// bookkeeping makes a record of the ledger's own. It is not compressed, so
// that a reader needs no decoder to find its way, and never encrypted.
func bookkeeping(typ recordType, meta, raw []byte) *Entry {
	return &Entry{
		typ: typ, codec: codecRaw, body: storedBody(meta, raw), metaSum: sha(meta), plainLen: uint64(len(raw)),
		digest: mail.DigestOf(raw), size: uint64(len(raw)),
	}
}

// publish gives a file that is sealed and synced its final name and removes
// the working one. It may be called again after a crash or an error at any
// point of it.
func publish(fsys durable.FS, working string, first uint64) error {
	if err := fsys.Chmod(working, 0o444); err != nil {
		return err
	}
	// A link never replaces: what has the name already is compared.
	if err := fsys.Link(working, sealedName(first)); err != nil {
		return err
	}
	// If we die here, either name or both lead to the sealed file.
	if err := fsys.SyncDir("."); err != nil {
		return err
	}
	// The removal is durable with the next SyncDir. If we die before that,
	// recovery finds two names of the same bytes and removes this one.
	return fsys.Remove(working)
}
