package extract

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// ole reads a compound file, or the storage of one that stands for a document
// inside another: by the streams that each format has.
func (r *reading) ole() error {
	root := r.doc.inside
	if root == nil {
		if !bytes.HasPrefix(r.doc.Data, []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")) {
			return fmt.Errorf("not a compound file")
		}
		c, err := openCompound(r.doc.Data)
		if err != nil {
			return err
		}
		root = c.root()
	}
	for _, f := range [...]struct {
		stream string
		kind   Kind
		read   func(*reading, *storage) error
	}{
		{"EncryptedPackage", r.declared(), func(*reading, *storage) error { return errEncrypted }},
		{"\x09DRMContent", OLE, func(*reading, *storage) error { return errEncrypted }},
		{"__properties_version1.0", MSG, (*reading).msg},
		{"WordDocument", DOC, (*reading).word},
		{"Workbook", XLS, (*reading).workbookStream},
		{"Book", XLS, (*reading).workbookStream},
		{"PowerPoint Document", PPT, (*reading).powerPoint},
		{"Package", OLE, (*reading).olePackage},
		{"CONTENTS", OLE, (*reading).olePackage},
		{"\x01Ole10Native", OLE, (*reading).oleNative},
	} {
		if root.has(f.stream) {
			r.kind = f.kind
			return r.withSummary(root, f.read(r, root))
		}
	}
	r.kind = OLE
	return errUnsupported
}

// declared returns the kind of office file that a file claims to be that cannot
// be looked into, else OLE.
func (r *reading) declared() Kind {
	switch kind := kindByLabel(r.doc.Name, r.doc.Type); kind {
	case DOCX, XLSX, PPTX:
		return kind
	}
	return OLE
}

// withSummary adds what the author said of the document.
func (r *reading) withSummary(root *storage, err error) error {
	if err != nil && !errors.Is(err, errLimit) {
		return err
	}
	b, serr := r.stream(root, "\x05SummaryInformation")
	if serr == nil {
		r.out.owe(paraGap)
		r.summary(b)
	}
	return err
}

// summary reads the texts of a property set ([MS-OLEPS] section 2.21): title,
// subject, author, keywords and comments.
func (r *reading) summary(b []byte) {
	if len(b) < 48 {
		return
	}
	at := int64(u32(b, 44))
	if at+8 > int64(len(b)) {
		return
	}
	set := b[at:]
	label, count := "", min(int(u32(set, 4)), (len(set)-8)/8)
	for i := range count {
		id, off := u32(set, 8+8*i), int64(u32(set, 12+8*i))
		if off+8 > int64(len(set)) {
			continue
		}
		value := set[off:]
		switch {
		case id == 1:
			label = codePage(u16(value, 4))
		case id >= 2 && id <= 6:
			r.out.line(propertyString(value, label))
		}
	}
}

// propertyString reads a typed value that is a string, else returns "".
func propertyString(b []byte, label string) string {
	kind, n := u16(b, 0), int(u32(b, 4))
	switch text := b[8:]; kind {
	case 0x1e:
		text = text[:max(0, min(n, len(text)))]
		return decodeLabel(bytes.TrimRight(text, "\x00"), label)
	case 0x1f:
		text = text[:max(0, min(2*n, len(text)))]
		return strings.TrimRight(utf16Text(text), "\x00")
	}
	return ""
}

// olePackage reads an object that is a whole file of another format.
func (r *reading) olePackage(s *storage) error {
	for _, name := range [...]string{"Package", "CONTENTS"} {
		b, err := r.stream(s, name)
		if err != nil {
			return err
		}
		if len(b) > 0 {
			return r.embed(Document{Data: b})
		}
	}
	return nil
}

// oleNative reads a packaged file ([MS-OLEDS] section 2.3.6 and the packager's
// own form inside): size, two octets, label, path, and after more paths the
// octets.
func (r *reading) oleNative(s *storage) error {
	b, err := r.stream(s, "\x01Ole10Native")
	if err != nil {
		return err
	}
	if len(b) < 8 {
		return errors.New("a packaged object is empty")
	}
	in := b[6:]
	label, in, _ := bytes.Cut(in, []byte{0})
	_, in, _ = bytes.Cut(in, []byte{0})
	if len(in) >= 8 && len(label) < 260 {
		skip := int64(u32(in, 4)) + 8
		if skip+4 <= int64(len(in)) {
			data := in[skip+4:]
			data = data[:min(int64(len(data)), int64(u32(in, int(skip))))]
			return r.embed(Document{Name: decodeLabel(label, ""), Data: data})
		}
	}
	return r.embed(Document{Data: b[4:]})
}

// objects reads the documents that a storage of objects holds.
func (r *reading) objects(pool *storage) error {
	if pool == nil {
		return nil
	}
	for s := range pool.folders() {
		if err := r.object(s); err != nil {
			return err
		}
	}
	return nil
}

// object reads one object. Those of programs that are no documents, such as
// pictures and controls, hold no text that is lost.
func (r *reading) object(s *storage) error {
	for _, name := range [...]string{"EncryptedPackage", "WordDocument", "Workbook", "Book", "PowerPoint Document", "Package", "CONTENTS", "\x01Ole10Native"} {
		if s.has(name) {
			return r.embed(Document{inside: s})
		}
	}
	return nil
}
