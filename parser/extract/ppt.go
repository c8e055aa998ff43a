package extract

import (
	"errors"
	"strings"
)

// The records of a presentation that matter ([MS-PPT] section 2.13.24).
const (
	pptMaster      = 0x03f8
	pptHandout     = 0x0fc9
	pptChars       = 0x0fa0 // UTF-16
	pptBytes       = 0x0fa8 // one octet per character
	pptString      = 0x0fba // UTF-16: comments, headers, footers, names
	pptCrypt       = 0x2f14
	pptTags        = 0x1388 // ProgTags: names of programs
	pptEnvironment = 0x03f2 // fonts and defaults
)

// powerPoint reads a presentation of PowerPoint 97 to 2003: the text of all
// slides, notes and comments in the order of the file, also of slides that an
// incremental save left behind. Masters hold the program's own text.
func (r *reading) powerPoint(root *storage) error {
	user, err := r.stream(root, "Current User")
	if err != nil {
		return err
	}
	if root.has("EncryptedSummary") || len(user) >= 16 && u32(user, 12) == 0xf3d1c4df {
		return errEncrypted
	}
	b, cut := r.stream(root, "PowerPoint Document")
	if cut != nil && !errors.Is(cut, errLimit) {
		return cut
	}
	if len(b) < 8 {
		return errors.New("no records")
	}
	if err := r.pptRecords(b); err != nil {
		return err
	}
	return cut
}

// pptRecords walks the records. It steps into a container by going on behind
// its header, so no nesting can exhaust it and each octet is met once.
func (r *reading) pptRecords(b []byte) error {
	for len(b) >= 8 {
		head, kind, size := u16(b, 0), u16(b, 2), int64(u32(b, 4))
		b = b[8:]
		body := b[:min(int64(len(b)), size)]
		switch kind {
		case pptCrypt:
			return errEncrypted
		case pptMaster, pptHandout, pptTags, pptEnvironment:
		case pptChars:
			r.pptLine(utf16Text(body))
		case pptBytes:
			r.pptLine(decodeLabel(body, "windows-1252"))
		case pptString:
			if text := utf16Text(body); !strings.HasPrefix(text, "___PPT") {
				r.pptLine(text)
			}
		default:
			if head&0xf == 0xf {
				continue
			}
		}
		b = b[len(body):]
		if err := r.full(); err != nil {
			return err
		}
	}
	return nil
}

// pptLine writes a text, whose paragraphs end with CR and lines with VT.
func (r *reading) pptLine(text string) {
	r.out.owe(lineGap)
	for line := range strings.FieldsFuncSeq(text, func(c rune) bool { return c == '\r' || c == '\v' }) {
		if line != "*" { // where the program puts a number or a date
			r.out.line(line)
		}
	}
}
