package parser

import (
	"bytes"
	"strings"
)

const (
	longLine  = 998 // octets of a line without its end (RFC 5322 section 2.1.1)
	lookAhead = 8   // lines searched for a field behind a line that is none
)

// A headerScan reads one header block.
type headerScan struct {
	*scanner
	n    *node
	off  int64 // start of the line at hand
	seen int   // fields met
	top  bool  // header of a message, not of a part
	last field // the field that a continuation belongs to
	end  byte  // last octet of that field
}

// header reads the header block at n.offHeader and sets n.fields and n.offBody.
func (s *scanner) header(n *node) {
	h := &headerScan{scanner: s, n: n, off: n.offHeader, top: n.parent == nil || n.parent.kind == nested}
	if h.top {
		h.leading()
	}
	for h.step() {
		continue
	}
	h.flush()
	n.offBody = h.off
	if h.seen == 0 && h.top && s.w.size > n.offHeader {
		s.bad.add("HDR_NONE", n.path, n.offHeader, "")
	}
}

// leading skips what mail software puts before a header: a byte order mark,
// blank lines, an mbox line.
func (h *headerScan) leading() {
	if bytes.HasPrefix(h.w.from(h.off, 3), []byte("\xef\xbb\xbf")) {
		h.add("HDR_BOM")
		h.off += 3
	}
	for h.off < h.w.size {
		line, next, ok := h.line(h.off, h.lim.Header)
		switch {
		case !ok:
			return
		case len(line) == 0:
			h.add("HDR_LEADING_BLANK")
		case isMboxFrom(line):
			h.add("HDR_MBOX_FROM")
		default:
			return
		}
		h.off = next
	}
}

// isMboxFrom reports whether the line separates mails in an mbox file (RFC 4155).
func isMboxFrom(line []byte) bool {
	return bytes.HasPrefix(bytes.TrimPrefix(line, []byte(">")), []byte("From "))
}

func (h *headerScan) add(code string) { h.bad.add(code, h.n.path, h.off, "") }

// step reads one line and reports whether the header goes on behind it.
func (h *headerScan) step() bool {
	if h.off >= h.w.size {
		return false
	}
	left := int64(h.lim.Header) - (h.off - h.n.offHeader)
	if left <= 0 {
		h.add("LIM_HEADER")
		return false
	}
	line, next, ok := h.line(h.off, int(left))
	if !ok {
		h.add("LIM_HEADER")
	}
	if len(line) == 0 {
		h.off = next
		return false
	}
	if line[0] == '-' && h.isBoundary(line) {
		return false
	}
	h.lineDefects(line, next)
	if more := h.classify(line, next); !more {
		return false
	}
	h.off = next
	return true
}

func (h *headerScan) isBoundary(line []byte) bool {
	if !bytes.HasPrefix(line, []byte("--")) {
		return false
	}
	level, _ := h.match(line)
	return level >= 0
}

func (h *headerScan) lineDefects(line []byte, next int64) {
	if len(line) > longLine {
		h.add("HDR_LONG_LINE")
	}
	if next-h.off-int64(len(line)) > 2 {
		h.add("EOL_MULTI_CR")
	}
}

// classify takes the line as a field, a continuation or junk, and reports
// whether the header goes on with it; if not, the body begins at the line.
func (h *headerScan) classify(line []byte, next int64) bool {
	if isWSP(line[0]) && h.seen > 0 {
		if len(bytes.TrimLeft(line, " \t")) == 0 {
			h.add("HDR_WSP_LINE")
		}
		h.extend(line, next)
		return true
	}
	trimmed := bytes.TrimLeft(line, " \t")
	if name := fieldName(trimmed); name > 0 {
		skip := len(line) - len(trimmed)
		if skip > 0 {
			h.add("HDR_LEADING_WSP")
		}
		h.begin(trimmed[:name], int64(skip), line, next)
		return true
	}
	switch {
	case h.seen > 0 && (h.end == ';' || h.end == ','):
		h.add("HDR_LOST_FOLD")
		h.extend(line, next)
		return true
	case h.top && isMboxFrom(line):
		h.add("HDR_MBOX_FROM")
		return true
	case h.fieldFollows(next):
		h.add("HDR_JUNK_LINE")
		return true
	}
	if h.seen > 0 {
		h.add("HDR_NO_BLANK")
	}
	return false
}

// begin starts a field.
func (h *headerScan) begin(name []byte, skip int64, line []byte, next int64) {
	h.flush()
	h.seen++
	n := nameOf(bytes.TrimRight(name, " \t"))
	h.last = field{
		name: n.low, written: n.written,
		off: h.off, val: h.off + skip + int64(len(name)) + 1, end: next,
	}
	h.end = lastOctet(line)
}

func (h *headerScan) extend(line []byte, next int64) {
	h.last.end = next
	if c := lastOctet(line); c != 0 {
		h.end = c
	}
}

// flush keeps the field at hand if it is of use: all of the message's own, of
// others only those that are read, and of those no more than a few.
func (h *headerScan) flush() {
	f := h.last
	h.last = field{}
	if f.name == "" {
		return
	}
	switch {
	case h.n.parent == nil && len(h.n.fields) >= h.lim.Fields:
		h.bad.add("LIM_FIELDS", h.n.path, f.off, "")
	case h.n.parent == nil && h.n.fields == nil:
		h.n.fields = append(make([]field, 0, usualFields), f)
	case h.n.parent == nil, wanted[f.name] && len(h.n.fields) < keptOfPart:
		h.n.fields = append(h.n.fields, f)
	}
}

const (
	keptOfPart  = 64
	usualFields = 24 // of a message: no more than that need one allocation
)

// wanted lists the fields that are read of entities other than the message.
var wanted = map[string]bool{
	"content-type": true, "content-transfer-encoding": true, "content-disposition": true, "content-id": true,
	"subject": true, "from": true, "to": true, "cc": true, "date": true, "message-id": true,
}

// fieldFollows reports whether one of the next lines is a field, before a blank
// line. Before the first field only a well-known one counts: a text without a
// header has colons too.
func (h *headerScan) fieldFollows(off int64) bool {
	for range lookAhead {
		line, next, ok := h.line(off, 4096)
		if !ok || len(line) == 0 || line[0] == '-' && h.isBoundary(line) {
			return false
		}
		if name := fieldName(line); name > 0 {
			return h.seen > 0 || common[strings.ToLower(string(bytes.TrimRight(line[:name], " \t")))]
		}
		off = next
	}
	return false
}

// common lists fields by which a header is known as one.
var common = map[string]bool{
	"from": true, "to": true, "subject": true, "date": true, "received": true, "return-path": true,
	"message-id": true, "mime-version": true, "content-type": true, "delivered-to": true, "reply-to": true,
	"content-transfer-encoding": true, "x-mailer": true, "cc": true, "sender": true, "dkim-signature": true,
}

// fieldName returns the length of the field name at the start of the line,
// space before its colon included, or 0 if the line is no field (RFC 5322
// section 3.6.8; section 4.5.3 for the space).
func fieldName(line []byte) int {
	i := 0
	for i < len(line) && line[i] > ' ' && line[i] < 0x7f && line[i] != ':' {
		i++
	}
	if i == 0 {
		return 0
	}
	j := i
	for j < len(line) && isWSP(line[j]) {
		j++
	}
	if j == len(line) || line[j] != ':' {
		return 0
	}
	return j
}

func lastOctet(line []byte) byte {
	line = bytes.TrimRight(line, " \t")
	if len(line) == 0 {
		return 0
	}
	return line[len(line)-1]
}

func isWSP(c byte) bool { return c == ' ' || c == '\t' }

// unfold joins the lines of a field value: line ends go, and where a
// continuation has lost its space one stands for it (RFC 5322 section 2.2.3).
func unfold(b []byte) string {
	b = bytes.Trim(b, " \t\r\n")
	at := lineEnd(b)
	if at == len(b) {
		return string(b)
	}
	var sb strings.Builder
	sb.Grow(len(b))
	for {
		sb.Write(b[:at])
		if at == len(b) {
			return sb.String()
		}
		for at < len(b) && (b[at] == '\r' || b[at] == '\n') {
			at++
		}
		if b = b[at:]; len(b) > 0 && !isWSP(b[0]) {
			sb.WriteByte(' ')
		}
		at = lineEnd(b)
	}
}

// lineEnd returns where the first CR or LF stands; the length of b if none does.
func lineEnd(b []byte) int {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		i = len(b)
	}
	if j := bytes.IndexByte(b[:i], '\r'); j >= 0 {
		return j
	}
	return i
}
