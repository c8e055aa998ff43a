package indexer

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"os"

	"github.com/blevesearch/bleve/v2/index/scorch"
	segment "github.com/blevesearch/scorch_segment_api/v2"

	"github.com/mailkeep/mailkeep/mail"
)

// checkSegments compares each segment file that the index rests on with the
// CRC-32 in its last four octets. Bleve writes that sum and never reads it: a
// damaged segment opens, and then counts wrongly or panics.
func (e *engine) checkSegments() error {
	r, err := e.scorch.Reader()
	if err != nil {
		return err
	}
	defer r.Close()
	snapshot, ok := r.(*scorch.IndexSnapshot)
	if !ok {
		return mail.Errorf(mail.Other, "the reader of the index is a %T", r)
	}
	for _, s := range snapshot.Segments() {
		p, ok := s.Segment().(segment.PersistedSegment)
		if !ok {
			continue // in memory only
		}
		if err := checkSegment(p.Path()); err != nil {
			return err
		}
	}
	return nil
}

func checkSegment(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	sum := crc32.NewIEEE()
	if _, err := io.CopyN(sum, f, max(0, info.Size()-4)); err != nil {
		return err
	}
	var want [4]byte
	if _, err := io.ReadFull(f, want[:]); err != nil {
		return mail.Errorf(mail.Corrupt, "segment %s is cut short", path)
	}
	if binary.BigEndian.Uint32(want[:]) != sum.Sum32() {
		return mail.Errorf(mail.Corrupt, "segment %s is damaged: its checksum does not match", path)
	}
	return nil
}
