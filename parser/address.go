package parser

import (
	"strings"

	gomail "github.com/emersion/go-message/mail"
	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"

	"github.com/mailkeep/mailkeep/mail"
)

const (
	maxRawAddress = 998 // octets of Address.Raw
	maxGroupName  = 256 // octets before the colon of a group
)

// addresses reads an address list (RFC 5322 section 3.4) that is UTF-8: by
// go-message where it is one, else by guesses that keep every word findable.
func (d decoder) addresses(v string) []mail.Address {
	if strings.TrimSpace(v) == "" {
		return nil
	}
	list, ok := d.strictAddresses(v)
	if !ok {
		d.add("ADDR_LENIENT")
		list = d.looseAddresses(v)
	}
	return list
}

// strictAddresses reports false where v is not an address list, or an empty one.
func (d decoder) strictAddresses(v string) ([]mail.Address, bool) {
	if len(v) > d.lim.Value {
		d.add("LIM_VALUE")
		return nil, false
	}
	if list, ok := d.plainAddresses(v); ok {
		return list, true
	}
	return d.libraryAddresses(v)
}

// libraryAddresses reads a list by go-message. Encoded words are hidden from it:
// it would decode each alone and so break characters that are split between two.
func (d decoder) libraryAddresses(v string) ([]mail.Address, bool) {
	const word, hidden = "=?", "={?"
	list, err := gomail.ParseAddressList(strings.ReplaceAll(v, word, hidden))
	if err != nil || len(list) == 0 {
		return nil, false
	}
	out := make([]mail.Address, 0, len(list))
	for _, a := range list {
		addr := canonical(strings.ReplaceAll(a.Address, hidden, word))
		if addr == "" {
			return nil, false
		}
		name := clean(d.words(strings.ReplaceAll(a.Name, hidden, word)))
		out = append(out, mail.Address{Name: name, Addr: addr})
	}
	return out, true
}

// looseAddresses reads what is not an address list. A piece without an address
// is the beginning of the next name where that has an address in brackets
// ("Doe, Jane <jane@example.org>"), else an entry of its own.
func (d decoder) looseAddresses(v string) []mail.Address {
	var out []mail.Address
	held := ""
	hold := func() {
		if held != "" {
			out = append(out, mail.Address{Name: d.displayName(held), Raw: rawAddress(held)})
			held = ""
		}
	}
	for _, piece := range splitAddresses(v) {
		if len(out) > d.lim.Addresses { // one more than may stay, so that it is told
			return out
		}
		name, addr, angle := cutAddress(piece)
		if addr == "" {
			hold()
			held = piece
			continue
		}
		if held != "" && angle {
			name, piece = held+", "+name, held+", "+piece
			held = ""
		}
		hold()
		out = append(out, mail.Address{Name: d.displayName(name), Addr: addr, Raw: rawAddress(piece)})
	}
	hold()
	return out
}

func rawAddress(piece string) string {
	s := clean(piece)
	if len(s) > maxRawAddress {
		s = strings.ToValidUTF8(s[:maxRawAddress], "")
	}
	return s
}

func (d decoder) displayName(s string) string {
	s = d.words(s)
	s = strings.NewReplacer(`\"`, `"`, `"`, "", `\\`, `\`).Replace(s)
	return strings.Trim(clean(s), " ,;:<>'")
}

// splitAddresses cuts a list at the commas and semicolons that stand outside of
// quotes, comments, brackets and encoded words, and drops group names. What is
// opened and never closed does not hide a comma. It is linear: each search for
// an end either moves on to it or is not made again.
func splitAddresses(v string) (pieces []string) {
	start, angleEnd := 0, 0 // angleEnd is behind the last address in brackets of the piece at hand
	noQuote, noParen := false, false
	take := func(end, next int) {
		if s := strings.TrimSpace(v[start:end]); s != "" {
			pieces = append(pieces, s)
		}
		start, angleEnd = next, 0
	}
	for i := 0; i < len(v); i++ {
		switch v[i] {
		case ',', ';':
			take(i, i+1)
		case ':':
			if i-start < maxGroupName && !strings.ContainsAny(v[start:i], "@<\"/") {
				take(i, i+1)
			}
		case '"':
			i, noQuote = skipTo(v, i, '"', noQuote)
		case '(':
			i, noParen = skipTo(v, i, ')', noParen)
		case '<':
			end := strings.IndexAny(v[i+1:], "<>")
			if end < 0 || v[i+1+end] != '>' {
				continue
			}
			hasAddress := strings.Contains(v[i+1:i+1+end], "@")
			if hasAddress && angleEnd > 0 { // a comma is missing
				take(angleEnd, angleEnd)
			}
			if i += 1 + end; hasAddress {
				angleEnd = i + 1
			}
		case '=':
			if strings.HasPrefix(v[i:], "=?") {
				_, _, n := new(wordReader).word(v[i:])
				i += max(n-1, 0)
			}
		}
	}
	take(len(v), len(v))
	return pieces
}

// skipTo returns the position of the closing octet, or i where there is none.
func skipTo(v string, i int, closing byte, none bool) (at int, noMore bool) {
	if none {
		return i, true
	}
	for j := i + 1; j < len(v); j++ {
		switch v[j] {
		case '\\':
			j++
		case closing:
			return j, false
		}
	}
	return i, true
}

// cutAddress finds the address in a piece of a list and what stands before it.
// angle says that it stood in brackets.
func cutAddress(piece string) (name, addr string, angle bool) {
	if i := strings.LastIndexByte(piece, '<'); i >= 0 {
		inside, _, _ := strings.Cut(skipComments(piece[i+1:]), ">")
		if addr = canonical(bareAddress(inside)); addr != "" {
			return piece[:i], addr, true
		}
		if strings.TrimSpace(inside) != "" { // an address in the name is not where the mail went
			return piece, "", false
		}
	}
	comment := ""
	if i := strings.IndexByte(piece, '('); i >= 0 {
		comment = strings.Trim(piece[i:], "() ")
		piece = piece[:i]
	}
	closed := closeGaps(piece)
	for word := range strings.FieldsSeq(closed) {
		if !strings.Contains(word, "@") {
			continue
		}
		if addr = canonical(bareAddress(word)); addr != "" {
			return strings.Replace(closed, word, "", 1) + " " + comment, addr, false
		}
	}
	return piece, "", false
}

// closeGaps takes the space out around @ and dots, as in "ann @ example . org"
// (RFC 5322 section 4.4).
func closeGaps(s string) string {
	words := strings.Fields(s)
	var sb strings.Builder
	for i, w := range words {
		if i > 0 && !joins(words[i-1], w) {
			sb.WriteByte(' ')
		}
		sb.WriteString(w)
	}
	return sb.String()
}

// joins reports whether the space between two words does not part them.
func joins(left, right string) bool {
	return right[0] == '@' || right == "." || strings.HasSuffix(left, "@") || left == "."
}

// bareAddress strips what people wrap around an address, and the source route
// of RFC 5322 section 4.4.
func bareAddress(s string) string {
	s = strings.Join(strings.Fields(s), "")
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.Contains(s[i:], "]") {
		s = s[i+1:]
	}
	return strings.Trim(s, "<>()'\";,.")
}

// canonical returns the form in which addresses are compared: lower case, the
// domain in ASCII (IDNA, UTS 46 non-transitional) without dots around it. The
// tags that some providers allow in a local part stay. It returns "" for what
// is no address.
func canonical(addr string) string {
	at := strings.LastIndexByte(addr, '@')
	if at <= 0 || at == len(addr)-1 || len(addr) > maxRawAddress {
		return ""
	}
	if plainAddr(addr, at) {
		return addr
	}
	local, domain := strings.ToLower(clean(addr[:at])), strings.Trim(clean(addr[at+1:]), ". ")
	if !isASCII(local) {
		local = norm.NFC.String(local)
	}
	if !isASCII(domain) || strings.Contains(domain, "xn--") {
		if ascii, err := idnaLookup.ToASCII(domain); err == nil {
			domain = ascii
		}
	}
	domain = strings.ToLower(domain)
	if local == "" || domain == "" || strings.ContainsAny(domain, " <>\"") {
		return ""
	}
	return local + "@" + domain
}

// plainAddr reports whether an address with its @ at at is canonical as it
// stands: lower-case ASCII with nothing that needs a second look.
func plainAddr(addr string, at int) bool {
	for i := range len(addr) {
		c := addr[i]
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_' || c == '+' || i == at {
			continue
		}
		return false
	}
	domain := addr[at+1:]
	return domain[0] != '.' && domain[len(domain)-1] != '.' && !strings.Contains(domain, "xn--")
}

var idnaLookup = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.BidiRule())
