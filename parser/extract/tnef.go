package extract

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// Attributes of TNEF ([MS-OXTNEF] section 2.1.3.3), by the lower halves of their
// numbers.
const (
	attFrom         = 0x8000
	attSubject      = 0x8004
	attBody         = 0x800c
	attAttachData   = 0x800f
	attAttachTitle  = 0x8010
	attRenderData   = 0x9002 // begins an attachment
	attMAPIProps    = 0x9003
	attAttachment   = 0x9005
	attOEMCodePage  = 0x9007
	tnefHeader      = 6
	tnefAttachLevel = 2
)

// A tnefAttachment is an attachment as far as its attributes have come.
type tnefAttachment struct {
	title string
	data  []byte
	mapiItem
}

// A tnefReader holds what the attributes told so far.
type tnefReader struct {
	r       *reading
	message mapiItem
	old     mapiItem // from attributes of the time before MAPI
	files   []*tnefAttachment
}

// tnef reads a winmail.dat. What comes behind a fault is not understood any
// more, what came before is kept.
func (r *reading) tnef() error {
	if len(r.doc.Data) < tnefHeader || !bytes.HasPrefix(r.doc.Data, []byte("\x78\x9f\x3e\x22")) {
		return errors.New("not TNEF")
	}
	t := &tnefReader{r: r}
	t.message.label, t.old.label = "windows-1252", "windows-1252"
	fault := t.attributes(r.doc.Data[tnefHeader:])
	t.message.setCodePage()
	t.message.props = append(t.message.props, t.old.props...)
	if err := r.mapiMessage(&t.message); err != nil {
		return err
	}
	for _, a := range t.files {
		if err := r.tnefFile(a); err != nil {
			return err
		}
	}
	return fault
}

// attributes walks the attributes: level, number, length, data, checksum. Some
// writers leave garbage or a wrong checksum behind, which matters to nobody.
func (t *tnefReader) attributes(b []byte) error {
	for len(b) >= 9 {
		level, id, size := b[0], u16(b, 1), int64(u32(b, 5))
		if level != 1 && level != tnefAttachLevel {
			return nil
		}
		if size > int64(len(b)-9) {
			return errors.New("an attribute is longer than the file")
		}
		data := b[9 : 9+size]
		b = b[min(int64(len(b)), 9+size+2):]
		if level == tnefAttachLevel {
			t.attach(id, data)
		} else if err := t.attribute(id, data); err != nil {
			return err
		}
	}
	return nil
}

func (t *tnefReader) attribute(id int, data []byte) error {
	switch id {
	case attOEMCodePage:
		if len(data) >= 4 {
			label := codePage(int(u32(data, 0) & 0xffff))
			t.message.label, t.old.label = label, label
		}
	case attSubject:
		t.old.props = append(t.old.props, mapiProp{propSubject, typeString8, data})
	case attBody:
		t.old.props = append(t.old.props, mapiProp{propBody, typeString8, data})
	case attFrom: // [MS-OXTNEF] section 2.1.3.3.7: four sizes, then name and address
		if len(data) > 8 {
			t.old.props = append(t.old.props, mapiProp{propSenderName, typeString8, bytes.ReplaceAll(data[8:], []byte{0}, []byte{' '})})
		}
	case attMAPIProps:
		props, err := mapiProps(data, t.r.lim.Entries)
		t.message.props = append(t.message.props, props...)
		return err
	}
	return nil
}

// attach acts on an attribute of an attachment.
func (t *tnefReader) attach(id int, data []byte) {
	if id == attRenderData || len(t.files) == 0 {
		t.files = append(t.files, &tnefAttachment{})
	}
	a := t.files[len(t.files)-1]
	a.label = t.message.label
	switch id {
	case attAttachTitle:
		a.title = strings.TrimRight(decodeLabel(data, a.label), "\x00")
	case attAttachData:
		a.data = data
	case attAttachment:
		props, _ := mapiProps(data, t.r.lim.Entries)
		a.props = append(a.props, props...)
	}
}

// tnefFile reads an attachment. A message inside is TNEF again, behind the
// identifier of its interface; another object is a compound file.
func (r *reading) tnefFile(a *tnefAttachment) error {
	data, name := a.data, a.title
	if long := a.attachmentName(); long != "" {
		name = long
	}
	if p := a.get(propAttachData); p != nil && len(data) == 0 {
		data = p.value
		if p.kind == typeObject && len(data) > 16 {
			data = data[16:]
		}
	}
	if len(data) == 0 {
		r.out.line(name)
		return nil
	}
	return r.embed(Document{Name: name, Type: a.text(propAttachMIME), Data: data})
}

// mapiProps reads properties in the form of TNEF ([MS-OXTNEF] section 2.1.3.4).
func mapiProps(b []byte, limit int) ([]mapiProp, error) {
	if len(b) < 4 {
		return nil, errors.New("properties are missing")
	}
	count, b := u32(b, 0), b[4:]
	var props []mapiProp
	for range count {
		if len(props) >= limit {
			return props, fmt.Errorf("too many properties: %w", errLimit)
		}
		p, rest, ok := mapiOne(b)
		if !ok {
			return props, errors.New("properties end early")
		}
		props, b = append(props, p), rest
	}
	return props, nil
}

// mapiOne reads one property: type, number, a name if the number says so, and
// one value or several, of which the first is kept.
func mapiOne(b []byte) (p mapiProp, rest []byte, ok bool) {
	if len(b) < 4 {
		return p, nil, false
	}
	p.kind, p.id = u16(b, 0), u16(b, 2)
	if b, ok = mapiName(p.id, b[4:]); !ok {
		return p, nil, false
	}
	many := p.kind&0x1000 != 0
	p.kind &^= 0x1000
	size, fixed := mapiSize(p.kind)
	count := uint32(1)
	if many || !fixed {
		if len(b) < 4 {
			return p, nil, false
		}
		count, b = u32(b, 0), b[4:]
	}
	for i := uint32(0); i < count; i++ {
		var v []byte
		if v, b, ok = mapiValue(b, size, fixed); !ok {
			return p, nil, false
		}
		if i == 0 {
			p.value = v
		}
	}
	return p, b, true
}

// mapiName passes the name of a property: a set, then a number or a string.
func mapiName(id int, b []byte) (rest []byte, ok bool) {
	if id < propNamed {
		return b, true
	}
	if len(b) < 24 {
		return nil, false
	}
	kind, size := u32(b, 16), int64(u32(b, 20))
	b = b[24:]
	if kind == 0 {
		return b, true
	}
	size = (size + 3) &^ 3
	if size > int64(len(b)) {
		return nil, false
	}
	return b[size:], true
}

// mapiSize returns the size of a value of fixed size.
func mapiSize(kind int) (size int64, fixed bool) {
	switch kind {
	case 0x0001, 0x0002, 0x0003, 0x0004, 0x000a, 0x000b:
		return 4, true
	case 0x0005, 0x0006, 0x0007, 0x0014, 0x0040:
		return 8, true
	case 0x0048:
		return 16, true
	}
	return 0, false
}

// mapiValue reads one value; those of variable size are padded to four octets.
func mapiValue(b []byte, size int64, fixed bool) (v, rest []byte, ok bool) {
	if !fixed {
		if len(b) < 4 {
			return nil, nil, false
		}
		size, b = int64(u32(b, 0)), b[4:]
	}
	if size > int64(len(b)) {
		return nil, nil, false
	}
	return b[:size], b[min(int64(len(b)), (size+3)&^3):], true
}
