package pop3test

import (
	"bytes"
	"context"
	"crypto/subtle"
	"fmt"
	"strconv"
	"strings"
)

// caps returns the lines of CAPA in the present state.
func (p *session) caps() []string {
	switch {
	case p.box != nil && p.srv.CapsAfterLogin != nil:
		return p.srv.CapsAfterLogin
	case p.srv.Caps != nil:
		return p.srv.Caps
	}
	expire := "EXPIRE NEVER"
	if p.hooks.RetrDeletes {
		expire = "EXPIRE 0"
	}
	cs := []string{"TOP", "USER", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE", expire, "IMPLEMENTATION pop3test"}
	if len(p.srv.Mechanisms) > 0 {
		cs = append(cs, "SASL "+strings.Join(p.srv.Mechanisms, " "))
	}
	if !p.hooks.NoUIDL {
		cs = append(cs, "UIDL")
	}
	if p.srv.TLSConfig != nil && !p.secure && p.box == nil {
		cs = append(cs, "STLS")
	}
	return cs
}

func (p *session) announces(name string) bool {
	for _, c := range p.caps() {
		if word, _, _ := strings.Cut(c, " "); word == name {
			return true
		}
	}
	return false
}

func (p *session) capa() error {
	p.line("+OK")
	for _, c := range p.caps() {
		p.line(c)
	}
	return p.line(".")
}

func (p *session) stls(ctx context.Context) error {
	if p.srv.TLSConfig == nil || p.secure {
		return p.bad("no TLS here")
	}
	p.line("+OK")
	if err := p.out.Flush(); err != nil {
		return err
	}
	p.user = ""
	return p.startTLS(ctx)
}

func (p *session) pass(password string) error {
	box := p.srv.Mailboxes[p.user]
	if box == nil || subtle.ConstantTimeCompare([]byte(box.Password), []byte(password)) != 1 {
		return p.bad("[AUTH] wrong user or password")
	}
	return p.enter(p.user, box)
}

// enter opens a mailbox for who has proved to be its user.
func (p *session) enter(user string, box *Mailbox) error {
	p.user = user
	seen, ok := box.open(p.hooks.NoLock)
	if !ok {
		return p.bad("[IN-USE] mailbox is open in another session")
	}
	if n := p.hooks.ListOnly; n > 0 {
		seen = seen[:min(n, len(seen))]
	}
	p.box, p.seen = box, seen
	p.marked, p.retrieved = make([]bool, len(seen)), make([]bool, len(seen))
	return p.line("+OK")
}

func (p *session) stat() error {
	var count, octets int64
	for i, m := range p.seen {
		if !p.marked[i] {
			count++
			octets += wireSize(m.Raw)
		}
	}
	return p.line(fmt.Sprintf("+OK %d %d", count, octets))
}

func (p *session) size(i int) string {
	size := wireSize(p.seen[i].Raw)
	if p.hooks.ListSize != nil {
		return p.hooks.ListSize(i+1, size)
	}
	return strconv.FormatInt(size, 10)
}

func (p *session) list(arg string) error {
	return p.rows(arg, p.size)
}

func (p *session) uidl(arg string) error {
	if p.hooks.NoUIDL {
		return p.bad("unknown command")
	}
	return p.rows(arg, func(i int) string { return p.seen[i].UIDL })
}

// rows answers LIST and UIDL, for one message or all.
func (p *session) rows(arg string, value func(i int) string) error {
	if arg != "" {
		i, ok := p.number(arg)
		if !ok {
			return p.bad("no such message")
		}
		return p.line(fmt.Sprintf("+OK %d %s", i+1, value(i)))
	}
	p.line("+OK")
	for i := range p.seen {
		if !p.marked[i] {
			p.line(fmt.Sprintf("%d %s", i+1, value(i)))
		}
	}
	return p.line(".")
}

// number reads a message number and returns the index of the message, which is
// not marked as deleted.
func (p *session) number(arg string) (int, bool) {
	n, err := strconv.Atoi(arg)
	if err != nil || n < 1 || n > len(p.seen) || p.marked[n-1] {
		return 0, false
	}
	return n - 1, true
}

func (p *session) retr(arg string) error {
	i, ok := p.number(arg)
	if !ok {
		return p.bad("no such message")
	}
	p.retrs++
	switch {
	case p.box.isGone(p.seen[i]):
		return p.line("-ERR message expunged")
	case p.hooks.MaxRetr > 0 && p.retrs > p.hooks.MaxRetr:
		return p.line("-ERR download quota exceeded")
	}
	raw := p.seen[i].Raw
	p.line("+OK " + p.size(i) + " octets")
	if p.hooks.Body != nil {
		raw = p.hooks.Body(i+1, raw)
	}
	p.retrieved[i] = true
	return p.body(raw)
}

func (p *session) top(arg string) error {
	number, lines, _ := strings.Cut(arg, " ")
	i, ok := p.number(number)
	n, err := strconv.Atoi(lines)
	if !ok || err != nil || n < 0 {
		return p.bad("no such message or number of lines")
	}
	p.line("+OK")
	return p.body(topOf(p.seen[i].Raw, n))
}

// topOf returns the header, the empty line and n lines of the body (RFC 1939
// section 7).
func topOf(raw []byte, n int) []byte {
	inBody := false
	end := 0
	for end < len(raw) {
		at := bytes.IndexByte(raw[end:], '\n') + 1
		if at == 0 {
			at = len(raw) - end
		}
		if inBody {
			if n == 0 {
				break
			}
			n--
		} else {
			inBody = len(bytes.TrimRight(raw[end:end+at], "\r\n")) == 0
		}
		end += at
	}
	return raw[:end]
}

func (p *session) dele(arg string) error {
	i, ok := p.number(arg)
	if !ok {
		return p.bad("no such message")
	}
	p.marked[i] = true
	if p.hooks.DeleteAtOnce {
		p.srv.recordDeleted(p.id, p.user, p.box.remove(p.seen[i:i+1]))
	}
	return p.line("+OK")
}
