package extract

import (
	"strconv"
	"strings"
)

// msg reads a message that Outlook saved ([MS-OXMSG]): a compound file with a
// stream for each property, and storages for recipients and attachments.
func (r *reading) msg(root *storage) error {
	m, err := r.msgItem(root, 32)
	if err != nil {
		return err
	}
	if err := r.mapiMessage(m); err != nil {
		return err
	}
	for s := range root.folders() {
		name := strings.ToLower(s.name())
		switch {
		case strings.HasPrefix(name, "__recip_"):
			err = r.msgRecipient(s, m.label)
		case strings.HasPrefix(name, "__attach_"):
			err = r.msgAttachment(s, m.label)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// msgItem collects the properties of a storage; fixed is the size of the header
// of its stream of properties of fixed size.
func (r *reading) msgItem(s *storage, fixed int) (*mapiItem, error) {
	m := &mapiItem{label: "windows-1252"}
	table, err := r.stream(s, "__properties_version1.0")
	if err != nil {
		return nil, err
	}
	for b := table[min(fixed, len(table)):]; len(b) >= 16; b = b[16:] {
		if kind := u16(b, 0); kind == typeLong {
			m.props = append(m.props, mapiProp{u16(b, 2), kind, b[8:16]})
		}
	}
	m.setCodePage()
	for _, id := range s.c.nodes[s.id].children {
		n := &s.c.nodes[id]
		prop, kind, ok := msgStreamName(n.name)
		if !ok || n.kind != streamNode || !wanted(prop, kind) {
			continue
		}
		b, err := r.octets(s.c, n)
		if err != nil {
			return nil, err
		}
		m.props = append(m.props, mapiProp{prop, kind, b})
	}
	return m, nil
}

// wanted reports whether a property can hold what is read: all strings do,
// octets only where it is known.
func wanted(prop, kind int) bool {
	return kind == typeString8 || kind == typeUnicode || kind == typeBinary && (prop == propRTF || prop == propHTML || prop == propAttachData)
}

// msgStreamName reads "__substg1.0_" with a property's number and type.
func msgStreamName(name string) (prop, kind int, ok bool) {
	hex, ok := strings.CutPrefix(strings.ToLower(name), "__substg1.0_")
	if !ok || len(hex) != 8 {
		return 0, 0, false
	}
	v, err := strconv.ParseUint(hex, 16, 32)
	return int(v >> 16), int(v & 0xffff), err == nil
}

func (r *reading) msgRecipient(s *storage, label string) error {
	m, err := r.msgItem(s, 8)
	if err != nil {
		return err
	}
	m.label = label
	r.out.line(strings.TrimSpace(m.text(propName) + " " + m.text(propSMTP, propMail)))
	return r.full()
}

// msgAttachment reads an attachment: octets, a message, or an object.
func (r *reading) msgAttachment(s *storage, label string) error {
	m, err := r.msgItem(s, 8)
	if err != nil {
		return err
	}
	m.label = label
	name := m.attachmentName()
	if inner := s.folder("__substg1.0_3701000D"); inner != nil {
		return r.embed(Document{Name: name, inside: inner})
	}
	p := m.get(propAttachData)
	if p == nil {
		r.out.line(name)
		return nil
	}
	return r.embed(Document{Name: name, Type: m.text(propAttachMIME), Data: p.value})
}
