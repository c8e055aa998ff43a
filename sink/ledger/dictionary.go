package ledger

import (
	"fmt"

	"github.com/klauspost/compress/zstd"

	"github.com/mailkeep/mailkeep/mail"
)

// A Dictionary is what bodies of codecs 2 and 6 are compressed against (RFC 8878
// section 5). It belongs to the archive: without it such bodies are lost. It may
// be used by many goroutines at once.
type Dictionary struct {
	id    DictionaryID
	sum   hash32
	coder *coder
}

// maxDictionary bounds what is read as a dictionary.
const maxDictionary = 1 << 20

// NewDictionary reads a dictionary. It returns mail.Corrupt if b is none, or one
// without an id.
func NewDictionary(b []byte) (*Dictionary, error) {
	if len(b) > maxDictionary {
		return nil, mail.Errorf(mail.Corrupt, "dictionary of %d octets is over the limit of %d", len(b), maxDictionary)
	}
	info, err := zstd.InspectDictionary(b)
	if err != nil {
		return nil, mail.Errorf(mail.Corrupt, "read the dictionary: %w", err)
	}
	if info.ID() == 0 {
		return nil, mail.Errorf(mail.Corrupt, "the dictionary has no id")
	}
	return &Dictionary{id: DictionaryID(info.ID()), sum: sha(b), coder: newCoder(b)}, nil
}

// ID returns the id that stands in the dictionary, and in the records that need
// it.
func (d *Dictionary) ID() DictionaryID { return d.id }

// Sum returns the SHA-256 of its octets.
func (d *Dictionary) Sum() mail.Digest { return mail.Digest(d.sum) }

// DictionaryName returns the name of the file of a dictionary in the directory
// of an archive's dictionaries.
func DictionaryName(id DictionaryID) string { return fmt.Sprintf("%08x.dict", uint32(id)) }

// shelf indexes dictionaries by their ids.
func shelf(all []*Dictionary) map[uint32]*Dictionary {
	m := make(map[uint32]*Dictionary, len(all))
	for _, d := range all {
		m[uint32(d.id)] = d
	}
	return m
}

// noDictionary is the error of a record whose dictionary is not at hand.
func noDictionary(id uint32, why string) error {
	return mail.WithHint(mail.Errorf(mail.NotFound, "dictionary %08x %s", id, why),
		"Put the file dict/%s back from a copy of the archive; nothing can be read without it that was compressed with it.", DictionaryName(DictionaryID(id)))
}
