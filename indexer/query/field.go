package query

import (
	"encoding/hex"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// addressFields hold addresses; of them a part may be asked for.
var addressFields = map[string]bool{
	"from": true, "to": true, "cc": true, "bcc": true, "participants": true, "domain": true,
}

// textFields take a word, phrase or prefix; the others a value of their own.
var textFields = map[string]bool{
	"subject": true, "body": true, "attachment": true, "filename": true,
}

// aliases are other names of fields.
var aliases = map[string]string{
	"participant": "participants", "during": "on", "rfc822msgid": "message-id", "msgid": "message-id",
	"messageid": "message-id", "ext": "filetype", "language": "lang",
}

// A valueFunc reads the value of a field, which stands at pos.
type valueFunc func(p *parser, pos int, name, value string) (Node, error)

// valueFields read what stands behind their colon.
var valueFields = map[string]valueFunc{
	"has": hasValue, "is": isValue, "stem": stemValue,
	"before": dateValue, "after": dateValue, "on": rangeValue, "received": rangeValue, "sealed": rangeValue,
	"older_than": ageValue, "newer_than": ageValue,
	"larger": sizeValue, "smaller": sizeValue,
	"hash": digestValue, "copy": digestValue, "message-id": messageIDValue, "filetype": typeValue,
	"list": exactValue, "lang": exactValue, "mailbox": exactValue, "defect": exactValue,
	"parser": exactValue, "extractor": exactValue,
	"class": exactValue, "hold": exactValue, "thread": outsideValue,
}

// Outside are the fields whose meaning the documents of an index alone do not tell,
// or not those of every index; see Resolve.
var Outside = []string{"class", "hold", "thread"}

// HasValues are what has: takes, in order.
var HasValues = []string{
	"archive", "attachment", "audio", "calendar", "contact", "document", "image", "link", "message", "pdf",
	"presentation", "spreadsheet", "video",
}

// IsValues are what is: takes, in order.
var IsValues = []string{
	"abuse", "auto", "bounce", "duplicate", "encrypted", "forward", "important", "journal", "list", "partial",
	"receipt", "reply", "signed", "unreadable",
}

func known(name string) bool {
	return textFields[name] || addressFields[name] || valueFields[name] != nil || aliases[name] != ""
}

// field reads the value of a known field that is written as name at pos.
func (p *parser) field(name string) (Node, error) {
	at := p.pos
	p.pos += len(name) + 1
	name = strings.ToLower(name)
	if to := aliases[name]; to != "" {
		name = to
	}
	if next, _ := utf8.DecodeRuneInString(p.in[p.pos:]); p.pos < len(p.in) && unicode.IsSpace(next) {
		p.skipSpace()
		if !p.atEnd() && !operator(p.bare()) {
			p.warn(at, "read as "+name+": with what follows the space")
		}
	}
	if p.atEnd() || operator(p.bare()) {
		p.warn(at, name+": has no value and was passed over")
		return nil, nil
	}
	if p.peek() != '(' {
		return p.leaf(name)
	}
	outer := p.scope
	p.scope = name
	defer func() { p.scope = outer }()
	return p.group()
}

// oneOf returns v in its singular if list has that, else an error.
func oneOf(pos int, name, v string, list []string) (string, error) {
	v = strings.ToLower(v)
	for _, w := range []string{v, strings.TrimSuffix(v, "s")} {
		if slices.Contains(list, w) {
			return w, nil
		}
	}
	return "", invalid(pos, "%s: takes %s or %s, not %q", name, strings.Join(list[:len(list)-1], ", "), list[len(list)-1], v)
}

func hasValue(_ *parser, pos int, name, value string) (Node, error) {
	v, err := oneOf(pos, name, value, HasValues)
	return Has{v}, err
}

func isValue(_ *parser, pos int, name, value string) (Node, error) {
	v, err := oneOf(pos, name, value, IsValues)
	return Is{v}, err
}

func stemValue(p *parser, pos int, _, value string) (Node, error) {
	if strings.Contains(value, " ") || utf8.RuneCountInString(value) < MinPrefix {
		return nil, invalid(pos, "stem: takes one word of at least %d characters, not %q", MinPrefix, value)
	}
	return Stem{value}, nil
}

func exactValue(_ *parser, _ int, name, value string) (Node, error) {
	return Exact{name, strings.ToLower(value)}, nil
}

// outsideValue keeps the case: message-ids have one.
func outsideValue(_ *parser, _ int, name, value string) (Node, error) {
	return Exact{name, trimAngles(value)}, nil
}

func messageIDValue(_ *parser, pos int, name, value string) (Node, error) {
	if trimAngles(value) == "" {
		return nil, invalid(pos, "%s: takes a message-id such as 1234@example.org, not %q", name, value)
	}
	return Exact{name, trimAngles(value)}, nil
}

func trimAngles(s string) string {
	if in := strings.TrimSuffix(strings.TrimPrefix(s, "<"), ">"); in != "" {
		return in
	}
	return s
}

// minHash is how many digits of a hash name it well enough.
const minHash = 8

func digestValue(_ *parser, pos int, name, value string) (Node, error) {
	v := strings.ToLower(value)
	_, err := hex.DecodeString(v[:len(v)/2*2])
	if err != nil || len(v)%2 != 0 || len(v) < minHash || len(v) > 64 {
		return nil, invalid(pos, "%s: takes a SHA-256 in hexadecimal, or an even number of its first digits, at least %d; not %q", name, minHash, value)
	}
	return Exact{name, v}, nil
}

// typeValue takes an extension or a media type; image/* is image/.
func typeValue(_ *parser, pos int, name, value string) (Node, error) {
	v := strings.ToLower(strings.TrimPrefix(strings.TrimSuffix(value, "*"), "."))
	if v == "" || v == "/" {
		return nil, invalid(pos, "%s: takes an extension such as pdf or a media type such as image/png or image/*, not %q", name, value)
	}
	return Exact{name, v}, nil
}

var sizePattern = regexp.MustCompile(`^([0-9]{1,18})([kKmMgG]?)(?:i?[bB])?$`)

func sizeValue(_ *parser, pos int, name, value string) (Node, error) {
	m := sizePattern.FindStringSubmatch(value)
	if m == nil {
		return nil, invalid(pos, "%s: takes a size such as 500k, 10M or 1G, not %q", name, value)
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return nil, invalid(pos, "%s: %q is not a number", name, value)
	}
	factor := int64(1)
	for _, u := range units {
		if strings.EqualFold(u.suffix, m[2]) {
			factor = u.octets
		}
	}
	if n > math.MaxInt64/factor {
		return nil, invalid(pos, "%s: %q is too large", name, value)
	}
	return Size{Name: name, Octets: n * factor}, nil
}

// units are the suffixes of sizes, the largest first.
var units = []struct {
	suffix string
	octets int64
}{{"G", 1 << 30}, {"M", 1 << 20}, {"k", 1 << 10}}

func formatSize(n int64) string {
	for _, u := range units {
		if n != 0 && n%u.octets == 0 {
			return strconv.FormatInt(n/u.octets, 10) + u.suffix
		}
	}
	return strconv.FormatInt(n, 10)
}

// Fields returns the names of all fields, in order, for completion and help.
func Fields() []string {
	all := slices.Collect(maps.Keys(valueFields))
	all = slices.AppendSeq(all, maps.Keys(addressFields))
	all = slices.AppendSeq(all, maps.Keys(textFields))
	slices.Sort(all)
	return all
}
