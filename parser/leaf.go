package parser

import (
	"bytes"
	"crypto/sha256"
	"hash"
	"io"
	"sync"

	"github.com/emersion/go-message"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser/charset"
	"github.com/mailkeep/mailkeep/parser/readable"
)

// A leafResult is what reading a leaf found.
type leafResult struct {
	size     int64
	digest   mail.Digest
	used     string // charset
	source   string // of the charset
	text     string
	quotes   []readable.Range // of text
	armour   armour
	cms      string // what a CMS object holds
	message  *mail.Nested
	readable bool // text was looked for
	html     bool // text was made of HTML
	status   mail.TextStatus
	role     mail.Role
}

// PartReader returns the decoded octets of the leaf p of the message in r, with
// the size and digest that p carries. It is tolerant: a broken encoding gives
// what can be read of it, and the error is only ever r's own. Of a container it
// returns the encoded octets. It holds no more than a block in memory.
func PartReader(r io.ReaderAt, p mail.Part) io.Reader {
	return lenient(p.Encoding, io.NewSectionReader(r, p.OffBody, p.Len))
}

const copySize = 32 << 10

// setCharsets makes go-message decode words with our charsets. Its hook is one
// for the whole process; this is the only place that sets it, before its first
// use by a parse. It is never a reason for go-message to fail.
var setCharsets = sync.OnceFunc(func() { message.CharsetReader = charset.NewReader })

// A leafSink takes decoded octets: all of them for size and digest, the first
// few for text.
type leafSink struct {
	hash hash.Hash
	size int64
	head []byte
	want int
}

func (k *leafSink) Write(b []byte) (int, error) {
	k.hash.Write(b)
	k.size += int64(len(b))
	if room := k.want - len(k.head); room > 0 {
		k.head = append(k.head, b[:min(room, len(b))]...)
	}
	return len(b), nil
}

func (k *leafSink) reset() {
	k.hash.Reset()
	k.size, k.head = 0, k.head[:0]
}

// readLeaf decodes the body of n, sets its size and digest, and returns its
// first want octets.
func (p *parse) readLeaf(n *node, want int) []byte {
	if octets, ok := p.quick(n, want); ok {
		return octets
	}
	k := &leafSink{hash: sha256.New(), want: want}
	length := n.end - n.offBody
	if !p.strict(n, k) && p.w.err == nil {
		k.reset()
		r := lenient(n.encoding, p.w.section(n.offBody, length))
		io.Copy(k, r) // an error is the window's, which keeps it
	}
	n.size = k.size
	k.hash.Sum(n.digest[:0])
	return k.head
}

// strict reads the body through go-message and reports whether it could.
func (p *parse) strict(n *node, k *leafSink) bool {
	body := p.w.section(n.offBody, n.end-n.offBody)
	if identity(n.encoding) {
		io.Copy(k, body)
		return true
	}
	if n.encoding == "x-uuencode" {
		p.bad.add("CTE_UU", n.path, n.offBody, "")
		return false
	}
	watch := &padWatch{r: body}
	var h message.Header
	h.Set("Content-Transfer-Encoding", n.encoding)
	e, err := message.New(h, watch)
	if err == nil {
		_, err = io.CopyBuffer(k, e.Body, make([]byte, min(n.end-n.offBody+1, copySize)))
	}
	if err == nil && !(n.encoding == "base64" && watch.more) {
		return true
	}
	code := "CTE_BAD_BASE64"
	if n.encoding == "quoted-printable" {
		code = "CTE_BAD_QP"
	}
	p.bad.add(code, n.path, n.offBody, "")
	p.bad.add("GM_FALLBACK", n.path, n.offBody, "")
	return false
}

// A padWatch notes whether anything follows padding. The base64 decoder of the
// standard library refuses that or not, depending on where its blocks end.
type padWatch struct {
	r            io.Reader
	padded, more bool
}

func (w *padWatch) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	b := p[:n]
	if !w.padded {
		i := bytes.IndexByte(b, '=')
		if i < 0 {
			return n, err
		}
		w.padded, b = true, b[i:]
	}
	w.more = w.more || len(bytes.TrimLeft(b, "= \t\r\n")) > 0
	return n, err
}
