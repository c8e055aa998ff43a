package parser

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser/charset"
	"github.com/mailkeep/mailkeep/parser/readable"
)

// Parse reads a message that is in memory, with DefaultLimits. It is total: it
// returns a message for every b, and what is wrong with b as its defects.
func Parse(b []byte) *mail.Message {
	return run(openBytes(b), DefaultLimits(), nil, 0)
}

// ParseAt reads the first size octets of r. It gives what Parse gives for the
// same octets and limits but holds only a window of them in memory, and the
// texts it makes. The error is only ever r's own, io.ErrUnexpectedEOF where r
// ends early; a message comes without one, however broken it is.
func ParseAt(r io.ReaderAt, size int64, lim Limits) (*mail.Message, error) {
	w := openAt(r, size)
	m := run(w, lim.orDefault(), nil, 0)
	if w.err != nil {
		return nil, w.err
	}
	return m, nil
}

// A parse is the work on one message.
type parse struct {
	scanner
	inner   int    // how many encoded messages this one lies in
	left    int    // octets of text that may still be kept
	scratch []byte // decoded octets of the leaf at hand
	heads   int    // addresses that may still be kept of messages in the message
}

// run parses what w shows. A panic is a fault of this package that must not
// cost the mail: its raw octets become the text.
func run(w *window, lim Limits, onSpan func(spanKind, int64, int64), inner int) (m *mail.Message) {
	setCharsets()
	p := &parse{scanner: scanner{w: w, lim: lim, bad: &defects{}, onSpan: onSpan}, inner: inner, left: lim.MailText, heads: lim.Addresses}
	defer func() {
		if v := recover(); v != nil {
			m = p.salvage(v)
		}
	}()
	root := p.scan()
	m = &mail.Message{Parser: Version, Size: w.size, EOL: p.lines}
	p.fields(root, m)
	p.readTexts(root)
	var from []*node
	m.Text, m.HTMLText, from = p.view(root)
	m.Marks = marksOf(from)
	m.Report = p.report(root)
	m.Crypto = p.crypto(root)
	m.Parts = p.partList(root)
	m.Copy = copyOf(m)
	if p.blank() {
		p.bad.add("EMPTY", "", 0, "")
	}
	m.Defects = p.bad.sorted()
	return m
}

// blank reports whether the message has no octets but line ends.
func (p *parse) blank() bool {
	return p.w.size <= wholeSize && len(bytes.Trim(p.w.from(0, int(p.w.size)), "\r\n")) == 0
}

// salvage makes a message of the raw octets alone.
func (p *parse) salvage(v any) *mail.Message {
	p.bad.add("PANIC", "", 0, fmt.Sprintf("%.200v", v))
	k := &leafSink{hash: sha256.New(), want: p.lim.PartText}
	io.Copy(k, p.w.section(0, p.w.size)) // an error is the window's, which keeps it
	part := mail.Part{Path: "1", Len: p.w.size, Type: "text/plain", Role: mail.RoleBody, Size: k.size, TextStatus: mail.TextFailed}
	k.hash.Sum(part.Digest[:0])
	m := &mail.Message{Parser: Version, Size: p.w.size, Parts: []mail.Part{part}, Defects: p.bad.list}
	m.Text, _ = readable.Plain(charset.Decode(k.head, "").Text, p.lim.PartText)
	return m
}

// partList turns the tree into parts, containers before their children.
func (p *parse) partList(root *node) []mail.Part {
	parts := make([]mail.Part, 0, p.parts)
	walk(root, func(n *node) {
		part := mail.Part{
			Path: n.path, OffHeader: n.offHeader, OffBody: n.offBody, Len: n.end - n.offBody,
			Type: n.ctype, Charset: n.used, Encoding: n.encoding, Disposition: n.disposition,
			FileName: n.fileName, ContentID: n.cid, Role: n.role,
			Size: n.size, Digest: n.digest, TextStatus: n.status,
			CharsetSource: n.source, Message: n.message,
		}
		if n.kind == leaf && !strings.EqualFold(n.charset, n.used) { // also of one that is not read here
			part.CharsetDeclared = n.charset
		}
		if n.kind != leaf {
			// RFC 2045 section 6.4 allows a container no encoding; what it says is
			// not applied, so it is not told.
			part.Size = part.Len
			if !identity(n.encoding) {
				part.Encoding = ""
			}
		}
		if n.role != mail.RoleBody {
			part.Text = n.text
		}
		parts = append(parts, part)
	})
	return parts
}

// walk calls f for n and all below it, parents first.
func walk(n *node, f func(*node)) {
	f(n)
	for _, kid := range n.kids {
		walk(kid, f)
	}
}
