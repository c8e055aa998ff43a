package keys

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/mailkeep/mailkeep/mail"
)

// A key file, in octets; all integers are big endian:
//
//	 0   4  magic "MKEY"
//	 4   2  version of the format, 1
//	 6   2  zero
//	 8  16  UUID of the archive
//	24   2  partition
//	26   2  class
//	28   2  year of expiry
//	30   2  zero
//	32   4  segment number
//	36   4  version of the KEK
//	40   4  length n of the box
//	44   n  box: what the key source made of the content, bound to octets 0 to 35
//	     4  CRC-32C of all octets before
//
// The content is a copy of octets 0 to 35, u32 count, and the nodes (see
// Tree.appendTo). The copy refuses a moved file even where a key source does
// not bind what it is told to.
const (
	fileMagic    = "MKEY"
	fileVersion  = 1
	identitySize = 36
	fileHead     = 44
	maxFile      = fileHead + maxBox + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A keyFile is a key file that was read and not opened yet.
type keyFile struct {
	segment Segment
	epoch   Epoch
	box     []byte
}

// identity returns the octets that the box is bound to.
func identity(s Segment, g Group) []byte {
	b := make([]byte, 0, fileHead)
	be := binary.BigEndian
	b = append(b, fileMagic...)
	b = be.AppendUint16(b, fileVersion)
	b = append(b, 0, 0)
	b = append(b, s.Archive[:]...)
	b = be.AppendUint16(b, s.Partition)
	b = be.AppendUint16(b, g.Class)
	b = be.AppendUint16(b, g.Year)
	b = append(b, 0, 0)
	return be.AppendUint32(b, s.Number)
}

// encode returns the octets of the file.
func (f *keyFile) encode() []byte {
	b := identity(f.segment, f.epoch.Group)
	b = binary.BigEndian.AppendUint32(b, f.epoch.Version)
	b = binary.BigEndian.AppendUint32(b, uint32(len(f.box)))
	b = append(b, f.box...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// parseFile reads a key file: mail.Corrupt if it is damaged, mail.Invalid if
// its version is not ours.
func parseFile(b []byte) (*keyFile, error) {
	if len(b) < fileHead+4 || string(b[:4]) != fileMagic {
		return nil, mail.Errorf(mail.Corrupt, "this is no key file, or the beginning of one")
	}
	be := binary.BigEndian
	if v := be.Uint16(b[4:]); v != fileVersion {
		return nil, mail.WithHint(mail.Errorf(mail.Invalid, "key file of version %d; this version of mailkeep reads version %d", v, fileVersion),
			"Use the version of mailkeep that wrote it, or a later one.")
	}
	body, sum := b[:len(b)-4], be.Uint32(b[len(b)-4:])
	if n := be.Uint32(b[40:]); n > maxBox || len(body) != fileHead+int(n) {
		return nil, mail.Errorf(mail.Corrupt, "the key file has %d octets and should have %d", len(b), fileHead+uint64(n)+4)
	}
	if crc32.Checksum(body, castagnoli) != sum {
		return nil, mail.Errorf(mail.Corrupt, "the key file does not match its checksum")
	}
	f, err := parseIdentity(b)
	if err != nil {
		return nil, err
	}
	f.epoch.Version, f.box = be.Uint32(b[36:]), bytes.Clone(body[fileHead:])
	if f.epoch.Version == 0 {
		return nil, mail.Errorf(mail.Corrupt, "the key file is of no epoch")
	}
	return f, nil
}

// parseIdentity reads what identity has written, at the beginning of b.
func parseIdentity(b []byte) (*keyFile, error) {
	if len(b) < identitySize {
		return nil, mail.Errorf(mail.Corrupt, "the name of the segment is cut after %d octets", len(b))
	}
	be := binary.BigEndian
	f := &keyFile{
		segment: Segment{Archive: [16]byte(b[8:]), Partition: be.Uint16(b[24:]), Number: be.Uint32(b[32:])},
		epoch:   Epoch{Group: Group{be.Uint16(b[26:]), be.Uint16(b[28:])}},
	}
	if !bytes.Equal(f.identity(), b[:identitySize]) {
		return nil, mail.Errorf(mail.Corrupt, "the name of the segment has fields that this version does not know")
	}
	return f, nil
}

func (f *keyFile) identity() []byte { return identity(f.segment, f.epoch.Group) }

// belongsTo refuses the file of another segment.
func (f *keyFile) belongsTo(s Segment) error {
	if f.segment == s {
		return nil
	}
	err := mail.Errorf(mail.Corrupt, "it is the key file of %s, not of %s", f.segment, s)
	if f.segment.Archive != s.Archive {
		err = mail.Errorf(mail.Corrupt, "it is the key file of another archive")
	}
	return mail.WithHint(err, "Restore the key file of this segment from a backup.")
}

// content returns the plain text of a box.
func content(identity []byte, t *Tree) []byte {
	// With room for all, append leaves no copies behind that nobody clears.
	b := make([]byte, 0, len(identity)+t.size())
	return t.appendTo(append(b, identity...))
}

// parseContent reads the plain text of a box that is bound to identity.
func parseContent(identity, plain []byte) (*Tree, error) {
	nodes, ok := bytes.CutPrefix(plain, identity)
	if !ok {
		return nil, mail.Errorf(mail.Corrupt, "the sealed content is of another segment")
	}
	t, err := parseTree(nodes)
	if err != nil {
		return nil, mail.Errorf(mail.Corrupt, "the sealed content: %w", err)
	}
	return t, nil
}

// open returns the tree in the file.
func (f *keyFile) open(ctx context.Context, w Wrapper) (*Tree, error) {
	plain, err := w.Unwrap(ctx, f.epoch, f.box, f.identity())
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	return parseContent(f.identity(), plain)
}

// sealFile returns the file of a tree, sealed under the epoch. What the source
// returned was opened again: this may be about to replace the only copy.
func sealFile(ctx context.Context, w Wrapper, s Segment, e Epoch, t *Tree) (*keyFile, error) {
	f := &keyFile{segment: s, epoch: e}
	plain := content(f.identity(), t)
	defer clear(plain)
	var err error
	if f.box, err = wrapChecked(ctx, w, e, plain, f.identity()); err != nil {
		return nil, err
	}
	return f, nil
}

// wrapChecked wraps plain and opens the box again.
func wrapChecked(ctx context.Context, w Wrapper, e Epoch, plain, aad []byte) ([]byte, error) {
	box, err := w.Wrap(ctx, e, plain, aad)
	if err != nil {
		return nil, err
	}
	if len(box) > maxBox {
		return nil, mail.Errorf(mail.Other, "the key source made %d octets of %d, more than %d", len(box), len(plain), maxBox)
	}
	back, err := w.Unwrap(ctx, e, box, aad)
	if err != nil {
		return nil, fmt.Errorf("open again what was sealed: %w", err)
	}
	defer clear(back)
	if !bytes.Equal(back, plain) {
		return nil, mail.Errorf(mail.Other, "the key source returned something else than was given to it")
	}
	return box, nil
}
