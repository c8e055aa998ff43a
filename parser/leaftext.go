package parser

import (
	"bytes"
	"path"
	"slices"
	"strings"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser/charset"
	"github.com/mailkeep/mailkeep/parser/readable"
)

// A format tells how text is made of a leaf.
type format uint8

const (
	opaque   format = iota // no text, or none that is read here
	plain                  // text as it stands
	markup                 // HTML, and text/enriched (RFC 1896), which is like it
	enclosed               // an encoded message, which has no offsets in the raw octets
	signed                 // a message in a CMS object that may be signed (RFC 8551 section 3.5)
)

// innerDepth is how deep messages are followed that are encoded as a whole.
const innerDepth = 3

// readTexts decodes all leaves: size, digest, and text where there is any.
func (p *parse) readTexts(root *node) {
	walk(root, func(n *node) {
		if n.kind == leaf {
			p.readText(n)
		}
	})
}

func (p *parse) readText(n *node) {
	how := formatOf(n)
	want := map[format]int{plain: p.lim.PartText, markup: p.lim.HTML, enclosed: p.lim.PartText, signed: p.lim.PartText}[how]
	b := p.readLeaf(n, want)
	if how == signed {
		if b, n.cms = signedContent(b); len(b) == 0 {
			how = opaque
		}
	}
	if how == opaque || isDocument(b) {
		n.status = opaqueStatus(n)
		if isDocument(b) {
			n.status = mail.TextUnsupported
		}
		p.noteUnread(n)
		return
	}
	n.readable, n.status = true, mail.TextOK
	cut := n.size > int64(len(b)) && n.size > int64(want)
	limit := min(p.lim.PartText, p.left)
	switch how {
	case enclosed, signed:
		cut = p.innerText(n, b, how, limit) || cut
	default:
		cut = p.leafText(n, b, how, limit) || cut
	}
	p.left -= len(n.text)
	if cut && n.status == mail.TextOK {
		n.status = mail.TextTruncated
	}
	if cut {
		p.bad.add("LIM_TEXT", n.path, n.offBody, "")
	}
	p.noteUnread(n)
}

func (p *parse) noteUnread(n *node) {
	switch n.status {
	case mail.TextEncrypted:
		p.bad.add("EXT_ENCRYPTED", n.path, n.offBody, n.ctype)
	case mail.TextUnsupported:
		p.bad.add("EXT_UNSUPPORTED", n.path, n.offBody, n.ctype)
	}
}

// leafText decodes the charset of b and makes text of it.
func (p *parse) leafText(n *node, b []byte, how format, limit int) (cut bool) {
	label := n.charset
	if how == markup && (charset.Label(label) == "" || charset.Label(label) == charset.ASCII) {
		if meta := readable.MetaCharset(b); meta != "" {
			label = meta
		}
	}
	r, asItStands := charset.AsItStands(b, label)
	switch {
	case !asItStands:
		r = charset.Decode(b, label)
	case how != markup:
		r.Text = string(b)
	}
	n.used, n.source = r.Used, charsetSource(label, r)
	p.charsetDefects(n, r)
	if how == markup {
		n.html = n.ctype != "text/enriched" && n.ctype != "text/richtext"
		if !asItStands {
			b = []byte(r.Text)
		}
		n.text, n.quotes, cut = readable.Page(b, limit)
	} else {
		n.text, cut = readable.Plain(r.Text, limit)
	}
	if n.armour = armourIn(n.text); n.armour == armourMessage {
		n.status = mail.TextEncrypted
	}
	return cut
}

// Where the charset of a part comes from.
const (
	fromLabel   = "label"
	fromDefault = "default"
	fromOctets  = "detected"
)

// charsetSource names where the charset of r comes from. ASCII and windows-1252
// are what is left where neither a label nor the octets tell one.
func charsetSource(label string, r charset.Result) string {
	switch {
	case r.Detected && r.Used == charset.Windows, r.Used == charset.ASCII && charset.Label(label) != charset.ASCII:
		return fromDefault
	case r.Detected:
		return fromOctets
	}
	return fromLabel
}

func (p *parse) charsetDefects(n *node, r charset.Result) {
	for _, d := range [...]struct {
		is   bool
		code string
	}{
		{r.Unknown, "CS_UNKNOWN"}, {r.Undeclared, "CS_8BIT_UNDECLARED"},
		{r.Detected && !r.Undeclared, "CS_DETECTED"}, {r.Invalid, "CS_INVALID_BYTES"},
	} {
		if d.is {
			p.bad.add(d.code, n.path, n.offBody, "")
		}
	}
}

// innerText parses a message that was encoded as a whole, which RFC 2046
// section 5.2.1 forbids, or signed as a whole, and takes all of its texts.
func (p *parse) innerText(n *node, b []byte, how format, limit int) (cut bool) {
	if p.inner >= innerDepth {
		p.bad.add("LIM_DEPTH", n.path, n.offBody, "")
		return true
	}
	m := run(openBytes(b), p.lim, nil, p.inner+1)
	var lines []string
	if how == enclosed {
		n.message = p.limitHead(nestedOf(m))
		lines = headLines(n.message)
	}
	lines = append(lines, m.Text, m.HTMLText)
	for _, part := range m.Parts {
		lines = append(lines, part.FileName, part.Text)
		switch part.TextStatus {
		case mail.TextEncrypted, mail.TextUnsupported, mail.TextTruncated, mail.TextFailed:
			n.status = part.TextStatus
		}
	}
	n.text, cut = readable.Plain(strings.Join(slices.DeleteFunc(lines, func(s string) bool { return s == "" }), "\n"), limit)
	return cut
}

// formatOf tells by type and file name how to read a leaf.
func formatOf(n *node) format {
	switch {
	case isMessage(n.ctype):
		return enclosed
	case isCMS(n):
		return signed
	case n.ctype == "text/html", n.ctype == "application/xhtml+xml", n.ctype == "text/enriched", n.ctype == "text/richtext":
		return markup
	case n.ctype == "text/rtf":
		return opaque
	case strings.HasPrefix(n.ctype, "text/"), strings.HasPrefix(n.ctype, "message/"):
		return plain
	case n.ctype == "application/json", n.ctype == "application/xml", n.ctype == "application/ics", n.ctype == "application/x-yaml":
		return plain
	case n.ctype == "application/octet-stream" && (n.parent != nil && n.parent.ctype == "multipart/encrypted" || besidePGP(n)):
		return opaque
	case n.ctype == "application/octet-stream" && textExtension(n.fileName):
		if ext := extension(n.fileName); ext == ".htm" || ext == ".html" {
			return markup
		}
		return plain
	}
	return opaque
}

func extension(name string) string { return strings.ToLower(path.Ext(name)) }

func textExtension(name string) bool {
	switch extension(name) {
	case ".txt", ".csv", ".tsv", ".log", ".md", ".htm", ".html", ".ics", ".vcf", ".json", ".xml", ".yaml", ".yml", ".asc":
		return true
	}
	return false
}

// isDocument recognises documents that are declared as text by their first
// octets: PDF, ZIP (with the office formats), OLE2, RTF, gzip.
func isDocument(b []byte) bool {
	for _, magic := range [...]string{"%PDF-", "PK\x03\x04", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", `{\rtf`, "\x1f\x8b\x08"} {
		if bytes.HasPrefix(b, []byte(magic)) {
			return true
		}
	}
	return false
}

// opaqueStatus tells why a leaf has no text here. What is not known to be
// without text counts as unsupported: coverage is not claimed by guess.
func opaqueStatus(n *node) mail.TextStatus {
	switch n.ctype {
	case "application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature",
		"application/pgp-keys", "application/pgp-encrypted":
		return mail.TextNone
	case "application/pkcs7-mime", "application/x-pkcs7-mime":
		return smimeStatus(smimeType(n))
	}
	major, _, _ := strings.Cut(n.ctype, "/")
	switch {
	case n.parent != nil && n.parent.ctype == "multipart/encrypted", besidePGP(n):
		return mail.TextEncrypted
	case media(n.ctype), major == "font", major == "model":
		return mail.TextNone
	}
	switch extension(n.fileName) {
	case ".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".ico", ".tif", ".tiff", ".heic", ".svgz", ".mp3", ".mp4", ".wav",
		".mov", ".avi", ".exe", ".dll", ".p7s", ".sig", ".ttf", ".woff", ".woff2":
		return mail.TextNone
	}
	if n.size == 0 {
		return mail.TextNone
	}
	return mail.TextUnsupported
}

// besidePGP reports whether n is the encrypted part of a PGP/MIME message whose
// multipart/encrypted some server has turned into a multipart/mixed.
func besidePGP(n *node) bool {
	return n.parent != nil && n.ctype == "application/octet-stream" &&
		slices.ContainsFunc(n.parent.kids, func(kid *node) bool { return kid.ctype == "application/pgp-encrypted" })
}

// smimeStatus is for what holds no text that could be taken out.
func smimeStatus(kind string) mail.TextStatus {
	switch kind {
	case signedData, compressedData:
		return mail.TextUnsupported
	case certsOnly:
		return mail.TextNone
	}
	return mail.TextEncrypted
}
