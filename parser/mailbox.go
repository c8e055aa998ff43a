package parser

import (
	"strings"

	"github.com/mailkeep/mailkeep/mail"
)

// plainAddresses reads the address lists that nearly all mail has: mailboxes of
// the form ann@example.org, <ann@example.org> or Ann <ann@example.org>, with
// names of atoms and encoded words or in quotes without escapes. It gives what
// go-message gives for them, in a fifth of the time, and reports false for
// everything else.
func (d decoder) plainAddresses(v string) ([]mail.Address, bool) {
	out := make([]mail.Address, 0, 1+strings.Count(v, ","))
	for {
		name, addr, rest, ok := plainMailbox(strings.TrimLeft(v, " \t"))
		if !ok {
			return nil, false
		}
		if addr = canonical(addr); addr == "" {
			return nil, false
		}
		out = append(out, mail.Address{Name: clean(d.words(name)), Addr: addr})
		if rest == "" {
			return out, true
		}
		v = rest[1:] // behind the comma
	}
}

// plainMailbox reads the first mailbox of a list; rest is empty or begins with
// the comma behind it.
func plainMailbox(v string) (name, addr, rest string, ok bool) {
	name, v, ok = plainPhrase(v)
	if !ok {
		return "", "", "", false
	}
	inBrackets := strings.HasPrefix(v, "<")
	if inBrackets {
		v = v[1:]
	} else if name != "" {
		return "", "", "", false
	}
	end := addrSpec(v)
	if end == 0 {
		return "", "", "", false
	}
	addr, v = v[:end], v[end:]
	if inBrackets {
		if !strings.HasPrefix(v, ">") {
			return "", "", "", false
		}
		v = v[1:]
	}
	v = strings.TrimLeft(v, " \t")
	return name, addr, v, v == "" || v[0] == ','
}

// plainPhrase reads the display name before a bracket. Where none follows, it
// takes nothing: what stands there is an address.
func plainPhrase(v string) (name, rest string, ok bool) {
	open := strings.IndexByte(v, '<')
	if comma := strings.IndexByte(v, ','); open < 0 || comma >= 0 && comma < open && !strings.HasPrefix(v, `"`) {
		return "", v, true
	}
	if strings.HasPrefix(v, `"`) {
		end := strings.IndexByte(v[1:], '"')
		if end < 0 {
			return "", "", false
		}
		name, rest = v[1:1+end], strings.TrimLeft(v[2+end:], " \t")
		return name, rest, strings.HasPrefix(rest, "<") && quotable(name)
	}
	name = strings.TrimRight(v[:open], " \t")
	return name, v[open:], name == "" || atoms(name)
}

// quotable reports whether a quoted string needs no second look: no escapes, no
// octets that are not printable.
func quotable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f || s[i] == '\\' {
			return false
		}
	}
	return s != "" && s[0] != ' ' && s[len(s)-1] != ' '
}

// atoms reports whether s is atoms (RFC 5322 section 3.2.3) with one space
// between two of them, each without a dot at its beginning or end.
func atoms(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c == ' ' || c == '.':
			if i == 0 || i == len(s)-1 || s[i-1] == ' ' || s[i-1] == '.' && c == '.' {
				return false
			}
		case !atext[c]:
			return false
		}
	}
	return true
}

// addrSpec returns the length of the dot-atom@dot-atom that v begins with; 0 if
// there is none.
func addrSpec(v string) int {
	local := dotAtom(v)
	if local == 0 || local == len(v) || v[local] != '@' {
		return 0
	}
	domain := dotAtom(v[local+1:])
	if domain == 0 {
		return 0
	}
	return local + 1 + domain
}

func dotAtom(v string) int {
	i := 0
	for i < len(v) && (atext[v[i]] || v[i] == '.' && i > 0 && v[i-1] != '.') {
		i++
	}
	if i > 0 && v[i-1] == '.' {
		return 0
	}
	return i
}

// atext are the octets of atoms (RFC 5322 section 3.2.3).
var atext = atextTable()

func atextTable() (t [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-/=?^_`{|}~") {
		t[c] = true
	}
	return t
}
