package extract

import (
	"fmt"
	"strings"

	"github.com/mailkeep/mailkeep/parser/charset"
	"github.com/mailkeep/mailkeep/parser/readable"
)

// Numbers of MAPI properties ([MS-OXPROPS]).
const (
	propSubject      = 0x0037
	propSenderName   = 0x0c1a
	propSenderMail   = 0x0c1f
	propSenderSMTP   = 0x5d01
	propSentFor      = 0x0042
	propDisplayBcc   = 0x0e02
	propDisplayCc    = 0x0e03
	propDisplayTo    = 0x0e04
	propBody         = 0x1000
	propRTF          = 0x1009
	propHTML         = 0x1013
	propName         = 0x3001
	propMail         = 0x3003
	propSMTP         = 0x39fe
	propAttachData   = 0x3701
	propAttachExt    = 0x3703
	propAttachName   = 0x3704
	propAttachLong   = 0x3707
	propAttachMIME   = 0x370e
	propCodePage     = 0x3ffd
	propInternetCP   = 0x3fde
	propNamed        = 0x8000 // and above: named by the writer
	propContactFirst = 0x3a00
	propContactLast  = 0x3aff
)

// Types of MAPI properties ([MS-OXCDATA] section 2.11.1).
const (
	typeString8 = 0x001e
	typeUnicode = 0x001f
	typeBinary  = 0x0102
	typeObject  = 0x000d
	typeLong    = 0x0003
)

// A mapiProp is one property with its octets.
type mapiProp struct {
	id, kind int
	value    []byte
}

// A mapiItem is a message, recipient or attachment as Outlook keeps it, in
// either of its two formats.
type mapiItem struct {
	props []mapiProp
	label string // charset of strings of octets
}

// get returns the octets of a property, of any of its types, or nil.
func (m *mapiItem) get(id int) *mapiProp {
	for i := range m.props {
		if m.props[i].id == id {
			return &m.props[i]
		}
	}
	return nil
}

// text returns a property that is a string, or "".
func (m *mapiItem) text(ids ...int) string {
	for _, id := range ids {
		if p := m.get(id); p != nil {
			if s := m.show(p); s != "" {
				return s
			}
		}
	}
	return ""
}

func (m *mapiItem) show(p *mapiProp) string {
	switch p.kind {
	case typeUnicode:
		return strings.TrimRight(utf16Text(p.value), "\x00")
	case typeString8:
		return strings.TrimRight(decodeLabel(p.value, m.label), "\x00")
	}
	return ""
}

// setCodePage takes the charset from the properties that tell it.
func (m *mapiItem) setCodePage() {
	for _, id := range [...]int{propCodePage, propInternetCP} {
		if p := m.get(id); p != nil && p.kind == typeLong && len(p.value) >= 4 {
			if n := int(u32(p.value, 0)); n > 0 && n < 1<<16 && n != 1200 {
				m.label = codePage(n)
				return
			}
		}
	}
}

// mapiMessage writes the head and the body of a message, then what else people
// wrote into it: fields of contacts, appointments and tasks.
func (r *reading) mapiMessage(m *mapiItem) error {
	for _, s := range [...]string{
		m.text(propSubject),
		strings.TrimSpace(m.text(propSenderName) + " " + m.text(propSenderSMTP, propSenderMail)),
		m.text(propSentFor), m.text(propDisplayTo), m.text(propDisplayCc), m.text(propDisplayBcc),
	} {
		r.out.line(s)
	}
	r.out.owe(paraGap)
	if err := r.mapiBody(m); err != nil {
		return err
	}
	r.out.owe(paraGap)
	for i := range m.props {
		if id := m.props[i].id; id >= propNamed || id >= propContactFirst && id <= propContactLast {
			r.out.line(m.show(&m.props[i]))
		}
	}
	return r.full()
}

// mapiBody writes the body: plain text, else HTML, else RTF.
func (r *reading) mapiBody(m *mapiItem) error {
	if text := m.text(propBody); strings.TrimSpace(text) != "" {
		r.out.write(text)
		return nil
	}
	if p := m.get(propHTML); p != nil && len(p.value) > 0 {
		text, cut := readable.HTML([]byte(m.html(p)), r.out.room())
		r.out.write(text)
		r.out.cut = r.out.cut || cut
		return nil
	}
	if p := m.get(propRTF); p != nil && len(p.value) > 0 {
		return r.compressedRTF(p.value)
	}
	return nil
}

// html returns the HTML body in UTF-8. As octets it is in the charset of the
// internet code page or in that which it declares.
func (m *mapiItem) html(p *mapiProp) string {
	if p.kind != typeBinary {
		return m.show(p)
	}
	label := ""
	if cp := m.get(propInternetCP); cp != nil && len(cp.value) >= 4 {
		label = codePage(int(u32(cp.value, 0) & 0xffff))
	}
	if label == "" {
		label = readable.MetaCharset(p.value)
	}
	return charset.Decode(p.value, label).Text
}

// compressedRTF reads RTF as Outlook packs it, as a part of the same document.
func (r *reading) compressedRTF(b []byte) error {
	plain, err := r.unpackRTF(b)
	if len(plain) > 0 {
		inner := &reading{work: r.work, doc: Document{Data: plain}, kind: RTF, out: sheet{limit: r.out.room()}}
		if rerr := inner.rtf(); err == nil {
			err = rerr
		}
		r.out.write(inner.out.String())
		r.out.cut = r.out.cut || inner.out.cut
	}
	if err != nil {
		return fmt.Errorf("read the body: %w", err)
	}
	return nil
}

// attachmentName returns what an attachment is called.
func (m *mapiItem) attachmentName() string {
	name := m.text(propAttachLong, propAttachName, propName)
	if ext := m.text(propAttachExt); name == "" && ext != "" {
		return "attachment" + ext
	}
	return name
}
