package parser

import (
	"path"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// attrs is what the Content- fields of an entity say, defaults filled in.
type attrs struct {
	ctype       string // "type/subtype", lower case
	boundary    string
	charset     string // as declared
	smime       string // smime-type, lower case
	protocol    string // of a multipart/signed or multipart/encrypted, lower case
	encoding    string // Content-Transfer-Encoding, lower case; "" for identity without a field
	disposition string // lower case, without parameters
	fileName    string // safe
	cid         string // without < and >
}

const (
	maxFileName = 200 // octets
	maxAttr     = 998 // octets kept of another attribute
)

// interpret reads the Content- fields of n. Of a repeated field the first counts.
func (s *scanner) interpret(n *node) {
	var typeParams, dispParams params
	var seen [4]bool
	raw := ""
	for _, f := range n.fields {
		slot := contentSlot(f.name)
		if slot < 0 || seen[slot] {
			continue
		}
		seen[slot] = true
		v := unfold(s.w.bytes(f.val, int(f.end-f.val)))
		over := false
		switch slot {
		case 0:
			raw = v
			n.ctype, typeParams, over = splitParams(v, s.lim.Params)
		case 1:
			n.encoding = s.encodingName(n, f, v)
		case 2:
			n.disposition, dispParams, over = splitParams(v, s.lim.Params)
			n.disposition = cutAttr(clean(s.decoderAt(n, f).utf8(n.disposition)))
		case 3:
			n.cid = cutAttr(clean(strings.Trim(s.decoderAt(n, f).utf8(v), "<> \t")))
		}
		if over {
			s.bad.add("LIM_PARAMS", n.path, f.off, "")
		}
	}
	d := s.decoderAt(n, field{off: n.offHeader})
	if n.boundary = typeParams.get("boundary", d); len(n.boundary) > s.lim.Boundary {
		n.boundary = ""
		s.bad.add("LIM_BOUNDARY", n.path, n.offHeader, "")
	}
	if n.charset = cutAttr(clean(d.utf8(typeParams.get("charset", d)))); s.label == "" {
		s.label = n.charset
	}
	n.smime = cutAttr(strings.ToLower(typeParams.plain("smime-type")))
	n.protocol = cutAttr(strings.ToLower(typeParams.plain("protocol")))
	name := dispParams.get("filename", d)
	if name == "" {
		name = typeParams.get("name", d)
	}
	n.fileName = safeFileName(name)
	s.settleType(n, raw)
}

// cutAttr bounds what is kept of a value: a message may have many parts.
func cutAttr(v string) string {
	if len(v) <= maxAttr {
		return strings.Clone(v)
	}
	return strings.ToValidUTF8(v[:maxAttr], "")
}

func contentSlot(name string) int {
	switch name {
	case "content-type":
		return 0
	case "content-transfer-encoding":
		return 1
	case "content-disposition":
		return 2
	case "content-id":
		return 3
	}
	return -1
}

func (s *scanner) decoderAt(n *node, f field) decoder {
	return decoder{&s.lim, s.bad, n.path, f.off, s.label}
}

// settleType replaces a missing or unusable type by its default: message/rfc822
// in a digest (RFC 2046 section 5.1.5), text/plain elsewhere (RFC 2045 section
// 5.2), but octets for a part with the file name of something else.
func (s *scanner) settleType(n *node, raw string) {
	if okType(n.ctype) {
		return
	}
	if raw != "" {
		s.bad.add("MIME_BAD_CTYPE", n.path, n.offHeader, "")
	}
	switch {
	case n.ctype == "html":
		n.ctype = "text/html"
	case n.ctype == "multipart" || n.ctype == "multipart/" || n.ctype == "" && raw != "" && n.boundary != "":
		n.ctype = "multipart/mixed"
	case raw == "" && n.parent != nil && n.parent.ctype == "multipart/digest":
		n.ctype = "message/rfc822"
	case n.fileName != "" && !textExtension(n.fileName):
		n.ctype = "application/octet-stream"
	default:
		n.ctype = "text/plain"
	}
}

// okType reports whether t is two tokens of RFC 2045 joined by a slash.
func okType(t string) bool {
	major, minor, ok := strings.Cut(t, "/")
	return ok && major != "" && minor != "" && len(t) <= 127 && strings.IndexFunc(t, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"[]?=`, r)
	}) < 0 && !strings.Contains(minor, "/")
}

// encodingName brings a Content-Transfer-Encoding into one spelling.
func (s *scanner) encodingName(n *node, f field, v string) string {
	v, _, _ = strings.Cut(v, "(")
	v, _, _ = strings.Cut(v, ";")
	v = strings.ToLower(strings.Trim(v, " \t\"'.,:"))
	if known, ok := encodings[v]; ok {
		return known
	}
	s.bad.add("CTE_UNKNOWN", n.path, f.off, "")
	switch { // misspelt beyond the table
	case strings.HasPrefix(v, "quoted"):
		return "quoted-printable"
	case strings.HasPrefix(v, "bas") && strings.Contains(v, "64"):
		return "base64"
	}
	v = clean(s.decoderAt(n, f).utf8(v))
	if len(v) > 40 {
		v = strings.ToValidUTF8(v[:40], "")
	}
	return v
}

// encodings maps the spellings seen in mail to the encodings that decode knows.
var encodings = map[string]string{
	"": "", "7bit": "7bit", "8bit": "8bit", "binary": "binary", "base64": "base64", "quoted-printable": "quoted-printable",
	"7-bit": "7bit", "8-bit": "8bit", "7 bit": "7bit", "8 bit": "8bit", "7bits": "7bit", "8bits": "8bit", "none": "7bit",
	"base-64": "base64", "base 64": "base64", "b64": "base64", "b": "base64", "base64encoded": "base64",
	"quoted printable": "quoted-printable", "quotedprintable": "quoted-printable", "quoted_printable": "quoted-printable",
	"quoted-printible": "quoted-printable", "qp": "quoted-printable", "q": "quoted-printable", "quote-printable": "quoted-printable",
	"x-uuencode": "x-uuencode", "uuencode": "x-uuencode", "x-uue": "x-uuencode", "uue": "x-uuencode", "x-uu": "x-uuencode",
}

// identity reports whether the octets of a body stand for themselves.
func identity(encoding string) bool {
	return encoding != "base64" && encoding != "quoted-printable" && encoding != "x-uuencode"
}

// safeFileName makes a name that can be printed, and stored by one who must:
// one line, no directory, no character that changes the direction of text or is
// not seen, at most 200 octets, NFC. It is "" where nothing is left.
func safeFileName(name string) string {
	name = strings.ToValidUTF8(name, "")
	name = path.Base(strings.ReplaceAll(clean(name), `\`, "/"))
	name = strings.Map(func(r rune) rune {
		if r == '/' || r == '\u0000' || unicode.Is(unicode.Cf, r) || unicode.IsControl(r) {
			return -1
		}
		return r
	}, name)
	name = strings.Trim(norm.NFC.String(name), " ")
	name = strings.TrimRight(cutName(name, maxFileName), " .")
	if strings.Trim(name, ". ") == "" {
		return ""
	}
	return name
}

// cutName shortens a name to limit octets and keeps its extension, by which
// readers and extractors know what it is.
func cutName(name string, limit int) string {
	if len(name) <= limit {
		return name
	}
	ext := path.Ext(name)
	if len(ext) > 16 {
		ext = ""
	}
	stem := name[:limit-len(ext)]
	return strings.ToValidUTF8(stem, "") + ext
}
