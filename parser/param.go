package parser

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/mailkeep/mailkeep/parser/charset"
)

// params are the parameters of a Content-Type or Content-Disposition as they
// were written, in order.
type params []param

type param struct {
	name  string // lower case, with the asterisks of RFC 2231
	value string // unquoted
}

// splitParams reads `head; name=value; ...` (RFC 2045 section 5.1) and goes on
// after whatever does not fit: missing semicolons, open quotes, spaces in
// values. It reads at most limit parameters and reports whether there are more.
func splitParams(v string, limit int) (head string, ps params, over bool) {
	head, rest := cutHead(v)
	for {
		rest = strings.TrimLeft(rest, "; \t")
		if rest == "" {
			return head, ps, false
		}
		if len(ps) == limit {
			return head, ps, true
		}
		eq := strings.IndexAny(rest, "=;")
		if eq < 0 {
			return head, ps, false
		}
		name := strings.ToLower(strings.TrimSpace(rest[:eq]))
		semicolon := rest[eq] == ';'
		rest = rest[eq+1:]
		if semicolon {
			continue
		}
		var p param
		p.name = name
		p.value, rest = paramValue(name, strings.TrimLeft(rest, " \t"))
		ps = append(ps, p)
	}
}

// cutHead takes the value before the parameters, without comments.
func cutHead(v string) (head, rest string) {
	head, rest, _ = strings.Cut(v, ";")
	if i := strings.IndexByte(head, '('); i >= 0 {
		head = head[:i]
	}
	head = strings.Trim(head, " \t\"")
	if first, more, ok := strings.Cut(head, " "); ok && strings.Contains(more, "=") {
		return first, more + ";" + rest
	}
	return strings.ToLower(head), rest
}

func paramValue(name, v string) (value, rest string) {
	if strings.HasPrefix(v, `"`) {
		return quotedValue(v[1:])
	}
	value, rest, _ = strings.Cut(v, ";")
	value = strings.TrimSpace(value)
	if strings.HasPrefix(name, "name") || strings.HasPrefix(name, "filename") {
		return value, rest
	}
	// A semicolon is missing in `charset=utf-8 format=flowed`; and a comment may follow.
	if first, more, ok := strings.Cut(value, " "); ok {
		if strings.Contains(more, "=") {
			rest = more + ";" + rest
		}
		value = first
	}
	return value, rest
}

// quotedValue reads a quoted string whose opening quote is gone. Only quotes
// and backslashes are unescaped: senders write Windows paths in quotes.
func quotedValue(v string) (value, rest string) {
	var sb strings.Builder
	for i := 0; i < len(v); i++ {
		switch {
		case v[i] == '"':
			return sb.String(), v[i+1:]
		case v[i] == '\\' && i+1 < len(v) && (v[i+1] == '"' || v[i+1] == '\\'):
			i++
			fallthrough
		default:
			sb.WriteByte(v[i])
		}
	}
	return sb.String(), ""
}

// plain returns the first parameter of the name, "" if there is none.
func (ps params) plain(name string) string {
	for _, p := range ps {
		if p.name == name {
			return p.value
		}
	}
	return ""
}

// A segment is one piece of a parameter in the forms of RFC 2231.
type segment struct {
	index   int
	encoded bool
	value   string
}

// get returns the decoded value of a parameter: the extended form (RFC 2231)
// before the plain one, in which encoded words (RFC 2047) are decoded although
// RFC 2047 section 5 forbids them there, because senders use them.
func (ps params) get(name string, d decoder) string {
	segs := ps.segments(name)
	if len(segs) == 0 {
		return d.words(d.utf8(ps.plain(name)))
	}
	slices.SortStableFunc(segs, func(a, b segment) int { return cmp.Compare(a.index, b.index) })
	label, bad := "", false
	var octets []byte
	for i, seg := range segs {
		bad = bad || seg.index != i
		if i == 0 && seg.encoded {
			parts := strings.SplitN(seg.value, "'", 3)
			if bad = bad || len(parts) != 3; len(parts) == 3 {
				label, seg.value = parts[0], parts[2]
			}
		}
		if !seg.encoded {
			octets = append(octets, seg.value...)
			continue
		}
		var ok bool
		octets, ok = appendPercent(octets, seg.value)
		bad = bad || !ok
	}
	r := charset.Decode(octets, label)
	if bad || r.Invalid || r.Unknown {
		d.add("HDR_BAD_2231")
	}
	return d.words(r.Text)
}

// segments collects name*, name*0, name*0* and so on. The single form name* is
// used alone if it is there.
func (ps params) segments(name string) (segs []segment) {
	for _, p := range ps {
		tail, ok := strings.CutPrefix(p.name, name+"*")
		if !ok {
			continue
		}
		if tail == "" {
			return []segment{{0, true, p.value}}
		}
		num, encoded := strings.CutSuffix(tail, "*")
		if i, err := strconv.Atoi(num); err == nil && i >= 0 {
			segs = append(segs, segment{i, encoded, p.value})
		}
	}
	return segs
}

// appendPercent decodes %XX; what is no such triple stays.
func appendPercent(dst []byte, s string) ([]byte, bool) {
	ok := true
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			dst = append(dst, s[i])
			continue
		}
		if i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) {
			dst = append(dst, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
			continue
		}
		ok = false
		dst = append(dst, '%')
	}
	return dst, ok
}
