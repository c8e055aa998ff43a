package pop3

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Row is one line of LIST.
type Row struct {
	Number int
	Size   int64 // octets as announced; -1 if unreadable
}

// A UidlRow is one line of UIDL.
type UidlRow struct {
	Number int
	UIDL   string // opaque octets; "" if blank or with controls
}

// rowSlack is how many rows more than STAT counted a listing may have: mail
// arrives in between on servers that do not freeze the mailbox.
const rowSlack = 10_000

// Stat returns the number of messages and their octets (-1 if unreadable).
// Whatever follows the two numbers is ignored (RFC 1939 section 5).
func (t *Transaction) Stat(ctx context.Context) (count int, octets int64, err error) {
	st, err := t.c.step(ctx, t.c.timeouts.Listing, "STAT")
	if err != nil {
		return 0, 0, err
	}
	if !st.ok {
		return 0, 0, t.c.refusal("STAT", st, Temp)
	}
	f := append(strings.Fields(st.text), "", "")
	n, err := strconv.ParseUint(f[0], 10, 31)
	if err != nil {
		return 0, 0, t.c.fail("STAT", Protocol, fmt.Errorf("%q does not begin with a number of messages", t.c.clean(st.text)))
	}
	t.most = int(n) + rowSlack
	return int(n), parseSize(f[1]), nil
}

// List returns the messages in ascending order of number. Rows whose number
// cannot be read are left out, and so are further rows of the same number;
// numbers need not be contiguous.
func (t *Transaction) List(ctx context.Context) (rows []Row, err error) {
	end, err := t.c.begin(ctx, "LIST")
	if err != nil {
		return nil, err
	}
	defer end(&err)
	st, err := t.c.ask(t.c.timeouts.Listing, "LIST")
	if err != nil {
		return nil, err
	}
	return t.list(st)
}

// Uidl returns the unique-ids in ascending order of number, as List does;
// ErrUnsupported if the server has none. A server that announces UIDL and
// refuses it has a passing trouble: that is of class Temp.
func (t *Transaction) Uidl(ctx context.Context) (rows []UidlRow, err error) {
	end, err := t.c.begin(ctx, "UIDL")
	if err != nil {
		return nil, err
	}
	defer end(&err)
	st, err := t.c.ask(t.c.timeouts.Listing, "UIDL")
	if err != nil {
		return nil, err
	}
	return t.uidl(st)
}

// Listings are the answers to LIST and UIDL.
type Listings struct {
	Rows    []Row
	Uidls   []UidlRow
	UidlErr error // why there are no Uidls, as Uidl returns it
}

// Listings is List and then Uidl, or both at once where the server takes commands
// ahead of its answers, which spares the time of one. The error is that of LIST,
// or of the session.
func (t *Transaction) Listings(ctx context.Context) (l Listings, err error) {
	if !t.c.pipelining() {
		if l.Rows, err = t.List(ctx); err == nil {
			l.Uidls, l.UidlErr = t.Uidl(ctx)
		}
		return l, err
	}
	end, err := t.c.begin(ctx, "LIST")
	if err != nil {
		return l, err
	}
	defer end(&err)
	if err := t.c.quiet("LIST"); err != nil {
		return l, err
	}
	out := startSender(t.c.wire) // the server may answer before it has read both
	defer out.stop()
	out.send([]byte("LIST\r\nUIDL\r\n"))
	st, err := t.c.status("LIST", t.c.timeouts.Listing)
	if err == nil {
		l.Rows, err = t.list(st)
	}
	if t.c.dead != nil {
		return l, err
	}
	// Also where LIST is refused, to stay in step.
	st, failed := t.c.status("UIDL", t.c.timeouts.Listing)
	if failed != nil {
		return l, failed
	}
	l.Uidls, l.UidlErr = t.uidl(st)
	return l, err
}

// list reads the rows behind the status line of LIST.
func (t *Transaction) list(st status) ([]Row, error) {
	var rows []Row
	err := t.rows("LIST", st, func(n int, rest []byte) {
		size, _, _ := bytes.Cut(rest, []byte(" "))
		rows = append(rows, Row{n, parseSize(string(size))})
	})
	if err != nil {
		return nil, err
	}
	return inOrder(rows, func(r Row) int { return r.Number }), nil
}

// uidl reads the rows behind the status line of UIDL.
func (t *Transaction) uidl(st status) ([]UidlRow, error) {
	var rows []UidlRow
	err := t.rows("UIDL", st, func(n int, rest []byte) {
		rows = append(rows, UidlRow{n, opaque(rest)})
	})
	if err != nil {
		if st.err && !t.c.caps.Uidl {
			return nil, &Error{Op: "UIDL", Class: Perm, Code: t.c.clean(st.code), Text: t.c.clean(st.text), Err: ErrUnsupported}
		}
		return nil, err
	}
	return inOrder(rows, func(r UidlRow) int { return r.Number }), nil
}

// opaque returns a unique-id as it came, or "" if it has controls. Longer ones
// than RFC 1939 section 7 allows, and octets that it does not, are taken.
func opaque(b []byte) string {
	if bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return ""
	}
	return string(b)
}

// inOrder sorts rows by number and keeps the first of each.
func inOrder[R any](rows []R, number func(R) int) []R {
	slices.SortStableFunc(rows, func(a, b R) int { return cmp.Compare(number(a), number(b)) })
	return slices.CompactFunc(rows, func(a, b R) bool { return number(a) == number(b) })
}

// rows hands out the rows behind the status line of LIST or UIDL: a number, and
// what stands behind the spaces that follow it.
func (t *Transaction) rows(op string, st status, row func(n int, rest []byte)) error {
	if !st.ok {
		return t.c.refusal(op, st, Temp)
	}
	seen, kept := 0, 0
	return t.c.lines(op, func(line []byte) error {
		if seen++; seen > t.mostRows() {
			return fmt.Errorf("more than %d rows", t.mostRows())
		}
		number, rest, ok := parseRow(line)
		if ok && kept < t.c.limits.Rows {
			kept++
			row(number, rest)
		}
		return nil
	})
}

// mostRows is how many rows a server may send at all.
func (t *Transaction) mostRows() int {
	if t.most > 0 {
		return t.most
	}
	return t.c.limits.Rows + rowSlack
}

// parseRow cuts a row of LIST or UIDL; several spaces between the fields are
// seen in the field.
func parseRow(line []byte) (number int, rest []byte, ok bool) {
	digits, rest, _ := bytes.Cut(bytes.TrimLeft(line, " "), []byte(" "))
	n, err := strconv.ParseUint(string(digits), 10, 31)
	if err != nil || n == 0 {
		return 0, nil, false
	}
	return int(n), bytes.TrimLeft(rest, " "), true
}
