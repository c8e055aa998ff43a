package parser

import (
	"slices"
	"strings"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser/charset"
	"github.com/mailkeep/mailkeep/parser/readable"
)

// view chooses what a reader would read of the message root, sets the roles of
// its parts, and returns its text, the parts that it comes from, and the text of
// its HTML where that says something else.
func (p *parse) view(root *node) (text, htmlText string, from []*node) {
	var textList, htmlList []*node
	views{&textList, &htmlList}.choose([]*node{root}, "multipart/mixed", false)
	text, htmlText, from = join(textList), join(htmlList), textList
	if !slices.ContainsFunc(htmlList, func(n *node) bool { return n.html }) {
		htmlText = ""
	}
	if !hasWords(text) && hasWords(htmlText) {
		text, from = htmlText, htmlList
	}
	if sameWords(text, htmlText) || !hasWords(htmlText) {
		htmlText = ""
	}
	text = p.withLoose(root, text)
	p.nestedViews(root)
	return text, htmlText, from
}

const between = "\n\n" // what stands between the texts of two parts

func join(nodes []*node) string {
	if len(nodes) == 1 {
		return nodes[0].text
	}
	var texts []string
	for _, n := range nodes {
		if n.text != "" {
			texts = append(texts, n.text)
		}
	}
	return strings.Join(texts, between)
}

// views are the two bodies of a message that RFC 8621 section 4.1.4 defines:
// what a reader of plain text sees and what a reader of HTML sees. A nil list is
// not collected: the parts at hand are an alternative of the other kind.
type views struct{ text, html *[]*node }

// choose sorts parts of a multipart of the type kind into the views, by the
// algorithm of RFC 8621 section 4.1.4.
func (v views) choose(parts []*node, kind string, alternative bool) {
	textLen, htmlLen := length(v.text), length(v.html)
	for i, n := range parts {
		switch {
		case n.kind == container:
			n.role = mail.RoleContainer
			v.choose(n.kids, n.ctype, alternative || n.ctype == "multipart/alternative")
		case !inBody(n, i, kind):
			n.role = attachmentRole(n)
		case kind == "multipart/alternative":
			v.alternative(n)
		default:
			if alternative && bodyText(n) {
				if n.html {
					v.text = nil
				} else {
					v.html = nil
				}
			}
			v.push(n)
		}
	}
	if kind == "multipart/alternative" && v.text != nil && v.html != nil {
		v.even(textLen, htmlLen)
	}
}

// alternative puts n into the view of its kind.
func (v views) alternative(n *node) {
	n.role = attachmentRole(n)
	if !bodyText(n) {
		return
	}
	n.role = mail.RoleBody
	if list := v.text; !n.html && list != nil {
		*list = append(*list, n)
	}
	if list := v.html; n.html && list != nil {
		*list = append(*list, n)
	}
}

// push puts n into both views.
func (v views) push(n *node) {
	n.role = mail.RoleInline
	if bodyText(n) {
		n.role = mail.RoleBody
	}
	for _, list := range []*[]*node{v.text, v.html} {
		if list != nil && n.role == mail.RoleBody {
			*list = append(*list, n)
		}
	}
}

// even fills the view that an alternative left empty with what the other has.
func (v views) even(textLen, htmlLen int) {
	switch {
	case textLen == len(*v.text) && htmlLen != len(*v.html):
		*v.text = append(*v.text, (*v.html)[htmlLen:]...)
	case htmlLen == len(*v.html) && textLen != len(*v.text):
		*v.html = append(*v.html, (*v.text)[textLen:]...)
	}
}

func length(list *[]*node) int {
	if list == nil {
		return 0
	}
	return len(*list)
}

// inBody reports whether the i-th part of a multipart is shown in its body.
func inBody(n *node, i int, kind string) bool {
	if n.kind != leaf || n.disposition == "attachment" || !bodyText(n) && !media(n.ctype) {
		return false
	}
	return i == 0 || kind != "multipart/related" && (media(n.ctype) || n.fileName == "")
}

// bodyText reports whether n is a text that a reader reads as the mail itself.
// The only part of a message is that whatever kind of text it is.
func bodyText(n *node) bool {
	switch n.ctype {
	case "text/plain", "text/html", "text/enriched", "text/richtext", "application/pkcs7-mime", "application/x-pkcs7-mime":
		return n.readable
	}
	alone := n.parent == nil || n.parent.kind == nested
	return alone && n.readable && strings.HasPrefix(n.ctype, "text/")
}

func media(ctype string) bool {
	major, _, _ := strings.Cut(ctype, "/")
	return major == "image" || major == "audio" || major == "video"
}

func attachmentRole(n *node) mail.Role {
	switch {
	case n.kind == nested || isMessage(n.ctype):
		return mail.RoleNested
	case n.disposition != "attachment" && (n.cid != "" || n.disposition == "inline") && media(n.ctype):
		return mail.RoleInline
	}
	return mail.RoleAttachment
}

// withLoose adds to text what stands outside of the parts of root's multiparts.
func (p *parse) withLoose(root *node, text string) string {
	loose := p.looseIn(root, nil)
	if len(loose) == 0 {
		return text
	}
	if text != "" {
		loose = slices.Insert(loose, 0, text)
	}
	return strings.Join(loose, between)
}

func (p *parse) looseIn(n *node, texts []string) []string {
	for _, sp := range n.loose {
		b := p.w.bytes(sp.off, int(min(sp.end-sp.off, int64(p.lim.PartText))))
		s, cut := readable.Plain(charset.Decode(b, "").Text, min(p.lim.PartText, p.left))
		if cut || int64(len(b)) < sp.end-sp.off {
			p.bad.add("LIM_TEXT", n.path, sp.off, "")
		}
		if !hasWords(s) || usualPreamble(s) {
			continue
		}
		p.bad.add("MIME_TEXT_OUTSIDE", n.path, sp.off, "")
		p.left -= len(s)
		texts = append(texts, s)
	}
	for _, kid := range n.kids {
		if n.kind == container {
			texts = p.looseIn(kid, texts)
		}
	}
	return texts
}

// usualPreamble recognises the sentences that mail software puts before the
// first part for readers without MIME.
func usualPreamble(s string) bool {
	if len(s) > 500 {
		return false
	}
	s = strings.Join(strings.Fields(strings.ToLower(s)), " ")
	for _, phrase := range [...]string{
		"this is a multi-part message", "this is a multipart message", "this is a mime", "this message is in mime format",
		"this is a multi part message", "this is an s/mime signed message", "this is a cryptographically signed message",
		"this is an openpgp/mime", "multi-part message in mime", "mime-encapsulated message", "this is a digitally signed",
	} {
		if strings.HasPrefix(strings.Trim(s, "> "), phrase) || strings.Contains(s, phrase) && len(s) < 120 {
			return true
		}
	}
	return false
}
