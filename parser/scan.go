package parser

import (
	"slices"
	"strconv"
	"strings"
)

// A node is one entity while it is parsed.
type node struct {
	path      string
	parent    *node
	kids      []*node // of a multipart, its parts; of a nested message, that message
	offHeader int64
	offBody   int64
	end       int64
	fields    []field
	attrs
	kind  nodeKind
	loose []span // preamble and epilogue
	leafResult
}

type nodeKind uint8

const (
	leaf      nodeKind = iota
	container          // multipart
	nested             // message/rfc822 whose message is its only kid
)

// A field is a header field by offsets: name, value and the end of its last line.
type field struct {
	name, written string // the name in lower case and as it stands
	off, val, end int64
}

type span struct{ off, end int64 }

// A spanKind says what a run of octets is in the message.
type spanKind string

const (
	spanHeader   spanKind = "header" // with the blank line, and whatever stands before the first field
	spanLeaf     spanKind = "leaf"
	spanLoose    spanKind = "loose" // preamble or epilogue
	spanBoundary spanKind = "boundary"
)

// A scanner cuts a message into nodes. It never fails.
type scanner struct {
	w       *window
	lim     Limits
	bad     *defects
	lines   string // how lines end, for mail.Message.EOL
	eol     byte   // '\n', or '\r' in a message that has no LF
	stack   []string
	parts   int
	guesses int
	label   string // the first charset declared
	// onSpan, if set, is told of every run of octets, in order and without gaps.
	onSpan func(kind spanKind, off, end int64)
}

// A stop is where an entity ends: at a boundary line of an enclosing multipart
// or at the end of the message.
type stop struct {
	level   int   // index of the boundary in the stack; -1 at the end of the message
	closing bool  // the line closes the multipart
	off     int64 // end of what stands before; the line end before a boundary is part of the boundary
	next    int64 // behind the boundary line
}

// scan cuts the message and returns the root of its tree.
func (s *scanner) scan() *node {
	s.eol = '\n'
	var at int64
	switch s.lines, at = s.w.lineEnds(); s.lines {
	case eolCR:
		s.eol = '\r'
		s.bad.add("EOL_BARE_CR", "", 0, "")
	case eolMixed:
		s.bad.add("EOL_MIXED", "", at, "")
	}
	root := &node{path: "1"}
	s.entity(root, 0)
	return root
}

func (s *scanner) span(kind spanKind, off, end int64) {
	if s.onSpan != nil && end > off {
		s.onSpan(kind, off, end)
	}
}

// entity reads the entity at n.offHeader and returns where it ends.
func (s *scanner) entity(n *node, depth int) stop {
	s.parts++
	s.header(n)
	s.span(spanHeader, n.offHeader, n.offBody)
	s.interpret(n)
	switch {
	case strings.HasPrefix(n.ctype, "multipart/"):
		if depth < s.lim.Depth {
			return s.multipart(n, depth)
		}
	case isMessage(n.ctype) && identity(n.encoding):
		if depth < s.lim.Depth && s.parts < s.lim.Parts {
			return s.inner(n, depth)
		}
	default:
		return s.leaf(n)
	}
	s.bad.add("LIM_DEPTH", n.path, n.offBody, "")
	n.ctype = "text/plain"
	return s.leaf(n)
}

// isMessage reports whether the type carries a message (RFC 2046 section 5.2.1, RFC 6532 section 3.7).
func isMessage(ctype string) bool {
	return ctype == "message/rfc822" || ctype == "message/global" || ctype == "message/news"
}

func (s *scanner) leaf(n *node) stop {
	st := s.next(n.offBody)
	n.end = st.off
	s.span(spanLeaf, n.offBody, n.end)
	return st
}

// inner reads the message that a message/rfc822 part carries.
func (s *scanner) inner(n *node, depth int) stop {
	n.kind = nested
	kid := &node{path: n.path + ".1", parent: n, offHeader: n.offBody}
	n.kids = []*node{kid}
	st := s.entity(kid, depth+1)
	n.end = st.off
	return st
}

// multipart reads the parts of n. Where no part begins, its body is a text leaf.
func (s *scanner) multipart(n *node, depth int) stop {
	st, ok := s.open(n)
	if !ok {
		n.ctype = "text/plain"
		return s.leaf(n)
	}
	n.kind = container
	mine := len(s.stack) - 1
	token := s.stack[mine]
	s.loose(n, n.offBody, st.off)
	closed := false
	for st.level == mine {
		s.span(spanBoundary, st.off, st.next)
		switch {
		case st.closing:
			closed = true
			if s.outerHas(token) {
				s.stack = s.stack[:mine]
			}
		case s.repeated(st): // an empty part without so much as a blank line is none
		case s.parts >= s.lim.Parts:
			s.bad.add("LIM_PARTS", n.path, st.off, "")
			s.stack = s.stack[:0]
		default:
			st = s.part(n, st.next, depth)
			continue
		}
		// Parts may follow a closing line: some senders close too early.
		from := st.next
		st = s.next(from)
		s.loose(n, from, st.off)
	}
	if !closed {
		s.bad.add("MIME_NO_CLOSE", n.path, st.off, "")
	}
	s.stack = s.stack[:min(mine, len(s.stack))]
	n.end = st.off
	return st
}

func (s *scanner) part(n *node, off int64, depth int) stop {
	kid := &node{path: n.path + "." + strconv.Itoa(len(n.kids)+1), parent: n, offHeader: off}
	n.kids = append(n.kids, kid)
	return s.entity(kid, depth+1)
}

// repeated reports whether the line behind a boundary line is that line again.
func (s *scanner) repeated(st stop) bool {
	line, _, _ := s.line(st.next, s.lim.Boundary+64)
	if len(line) < 2 || line[0] != '-' {
		return false
	}
	level, closing := s.match(line)
	return level == st.level && !closing
}

func (s *scanner) loose(n *node, off, end int64) {
	s.span(spanLoose, off, end)
	if end > off {
		n.loose = append(n.loose, span{off, end})
	}
}

func (s *scanner) outerHas(token string) bool {
	return slices.Contains(s.stack[:len(s.stack)-1], token)
}
