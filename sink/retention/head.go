package retention

import (
	"bytes"
	"slices"
	"strings"
)

// A head is what rules ask of the header of a message, in lower case. It is read in
// a rough way, before and apart from all parsing: an address is any run of the
// characters of one with an @ in it, wherever it stands in the field.
type head struct{ from, to, list []string }

// readHead reads the fields of a header up to its first empty line, or what there is
// of it.
func readHead(b []byte) (h head) {
	for len(b) > 0 {
		var field []byte
		if field, b = nextField(b); len(field) == 0 {
			return h
		}
		name, value, ok := bytes.Cut(field, []byte(":"))
		if !ok {
			continue
		}
		switch strings.ToLower(string(bytes.TrimRight(name, " \t"))) {
		case "from", "sender":
			h.from = append(h.from, addresses(value)...)
		case "to", "cc", "delivered-to", "x-original-to":
			h.to = append(h.to, addresses(value)...)
		case "list-id":
			h.list = append(h.list, listID(value))
		}
	}
	return h
}

// nextField cuts a field off, with the lines that go on with it (RFC 5322 section
// 2.2.3) and without its line end. It is empty at an empty line.
func nextField(b []byte) (field, rest []byte) {
	at := 0
	for {
		n := bytes.IndexByte(b[at:], '\n')
		if n < 0 {
			return bytes.TrimRight(b, "\r"), nil
		}
		end := at + n
		at = end + 1
		if end == 0 || bytes.Equal(b[:end], []byte("\r")) || at == len(b) || b[at] != ' ' && b[at] != '\t' {
			return bytes.TrimRight(b[:end], "\r"), b[at:]
		}
	}
}

func addresses(value []byte) []string {
	all := strings.FieldsFunc(strings.ToLower(string(value)), func(r rune) bool {
		return r <= ' ' || strings.ContainsRune(`()<>[]:;,\"`, r)
	})
	return slices.DeleteFunc(all, func(s string) bool { return !strings.Contains(s, "@") })
}

func listID(value []byte) string {
	s := strings.ToLower(string(value))
	if _, in, ok := strings.Cut(s, "<"); ok {
		s, _, _ = strings.Cut(in, ">")
	}
	return strings.TrimSpace(s)
}

func (r Rule) meetsHead(h head) bool {
	return anyAddress(r.From, h.from) && anyAddress(r.To, h.to) &&
		(len(r.List) == 0 || slices.ContainsFunc(h.list, func(id string) bool { return slices.Contains(r.List, id) }))
}

// anyAddress reports whether one of the addresses is wanted, or nothing is.
func anyAddress(wanted, have []string) bool {
	return len(wanted) == 0 || slices.ContainsFunc(have, func(addr string) bool {
		return slices.ContainsFunc(wanted, func(w string) bool { return isAddress(w, addr) })
	})
}

func isAddress(wanted, addr string) bool {
	domain, ok := strings.CutPrefix(wanted, "@")
	if !ok {
		return wanted == addr
	}
	_, have, _ := strings.Cut(addr, "@")
	return have == domain || strings.HasSuffix(have, "."+domain)
}
