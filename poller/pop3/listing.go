package pop3

import (
	"cmp"
	"context"
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

// Stat returns the number of messages and their octets.
func (t *Transaction) Stat(ctx context.Context) (count int, octets int64, err error) {
	st, err := t.c.step(ctx, t.c.t.Listing, "STAT")
	if err != nil {
		return 0, 0, err
	}
	if !st.ok {
		return 0, 0, t.c.declined("STAT", st, Temp)
	}
	f := strings.Fields(st.text)
	if len(f) >= 2 {
		n, errN := strconv.ParseUint(f[0], 10, 31)
		o, errO := strconv.ParseInt(f[1], 10, 64)
		if errN == nil {
			if errO != nil || o < 0 {
				o = -1
			}
			return int(n), o, nil
		}
	}
	return 0, 0, t.c.fail("STAT", Protocol, errStatus)
}

// List returns the messages in ascending order of number. Rows whose number
// cannot be read are left out; numbers need not be contiguous.
func (t *Transaction) List(ctx context.Context) ([]Row, error) {
	rows, _, err := listing(ctx, t.c, "LIST", func(n int, rest string) Row {
		size, _, _ := strings.Cut(rest, " ")
		o, err := strconv.ParseInt(size, 10, 64)
		if err != nil || o < 0 {
			o = -1
		}
		return Row{n, o}
	})
	slices.SortStableFunc(rows, func(a, b Row) int { return cmp.Compare(a.Number, b.Number) })
	return slices.CompactFunc(rows, func(a, b Row) bool { return a.Number == b.Number }), err
}

// Uidl returns the unique-ids in ascending order of number; ErrUnsupported if
// the server has none. A server that announces UIDL and refuses it is in
// trouble, not without.
func (t *Transaction) Uidl(ctx context.Context) ([]UidlRow, error) {
	rows, st, err := listing(ctx, t.c, "UIDL", func(n int, rest string) UidlRow { return UidlRow{n, opaque(rest)} })
	if err != nil && st.refused() && !t.caps.Uidl {
		err = &Error{Op: "UIDL", Class: Perm, Code: st.code, Text: st.text, Err: ErrUnsupported}
	}
	slices.SortStableFunc(rows, func(a, b UidlRow) int { return cmp.Compare(a.Number, b.Number) })
	return slices.CompactFunc(rows, func(a, b UidlRow) bool { return a.Number == b.Number }), err
}

// opaque returns a unique-id as it came, or "" if it has controls.
func opaque(s string) string {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return ""
		}
	}
	return s
}

// refused reports whether st is an answer that says no; the zero status is no
// answer.
func (s *status) refused() bool { return s != nil && !s.ok }

// listing sends LIST or UIDL and reads its rows: a number, spaces, and the rest
// of the line. The status is nil unless the server refused.
func listing[R any](ctx context.Context, c *conn, op string, row func(n int, rest string) R) ([]R, *status, error) {
	end, err := c.begin(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer end()
	st, err := c.ask(c.t.Listing, op)
	if err != nil {
		return nil, nil, err
	}
	if !st.ok {
		return nil, &st, c.declined(op, st, Temp)
	}
	var rows []R
	for {
		line, err := c.line(c.limits.ListingLine)
		if err != nil {
			return nil, nil, c.cut(op, err)
		}
		if line == "." {
			return rows, nil, nil
		}
		number, rest, _ := strings.Cut(strings.TrimLeft(line, " "), " ")
		n, err := strconv.ParseUint(number, 10, 31)
		if err != nil || n == 0 || len(rows) == c.limits.Rows {
			continue
		}
		rows = append(rows, row(int(n), strings.TrimLeft(rest, " ")))
	}
}
