package pop3

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
)

var (
	errLongLine = errors.New("line too long")
	errLineEnd  = errors.New("line ends with LF alone, not CR LF (set lf_only for a server that always does)")
	errStatus   = errors.New("the answer is neither +OK nor -ERR")
)

// A status is a status line (RFC 1939 section 3).
type status struct {
	ok   bool
	code string // response code in upper case (RFC 2449 section 8)
	text string // behind indicator and code; bounded and without controls
}

// maxText bounds what is kept of what a server says.
const maxText = 200

// line reads one line without its end.
func (c *conn) line(limit int) (string, error) {
	var long []byte
	for {
		b, err := c.in.ReadSlice('\n')
		if len(long)+len(b) > limit {
			return "", errLongLine
		}
		if err == bufio.ErrBufferFull {
			long = append(long, b...)
			continue
		}
		if err != nil {
			return "", err
		}
		if long != nil {
			b = append(long, b...)
		}
		n := len(b) - 1
		if n > 0 && b[n-1] == '\r' {
			n--
		} else if !c.lfOnly {
			return "", errLineEnd
		}
		return string(b[:n]), nil
	}
}

// status reads the answer to the oldest command that has none.
func (c *conn) status(op string) (status, error) {
	s, err := c.line(c.limits.StatusLine)
	if err != nil {
		return status{}, c.cut(op, err)
	}
	c.outstanding--
	st, ok := parseStatus(s)
	if !ok {
		err := errStatus
		if c.outstanding > 0 || op != "greeting" {
			err = fmt.Errorf("%w: %w", ErrDesync, errStatus)
		}
		return status{}, c.fail(op, Protocol, fmt.Errorf("%w: %q", err, c.clean(s)))
	}
	st.text = c.clean(st.text)
	return st, nil
}

// parseStatus reads a status line without its end. The indicator is exactly
// "+OK" or "-ERR", alone or before a space.
func parseStatus(s string) (status, bool) {
	word, rest, _ := strings.Cut(s, " ")
	switch word {
	case "+OK":
		return status{ok: true, text: rest}, true
	case "-ERR":
	default:
		return status{}, false
	}
	st := status{text: rest}
	if code, after, ok := strings.Cut(strings.TrimPrefix(rest, "["), "]"); ok && strings.HasPrefix(rest, "[") && isCode(code) {
		st.code, st.text = strings.ToUpper(code), strings.TrimPrefix(after, " ")
	}
	return st, true
}

// isCode reports whether s may be a response code: hierarchical words of
// printable ASCII.
func isCode(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == '[' {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// clean makes server text fit for errors and logs: bounded, without controls,
// and withheld where it repeats the password.
func (c *conn) clean(s string) string {
	if c.secret != "" && strings.Contains(s, c.secret) {
		return "(withheld: it repeats the password)"
	}
	s = strings.ToValidUTF8(s[:min(len(s), maxText)], "?")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, s)
}

// command makes a command line of words; arguments that would break out of it
// are refused, as is what exceeds 255 octets (RFC 2449 section 4).
func command(words ...string) ([]byte, error) {
	s := strings.Join(words, " ")
	if i := strings.IndexAny(s, "\r\n\x00"); i >= 0 {
		return nil, &Error{Op: words[0], Class: Perm, Err: errors.New("an argument has CR, LF or NUL in it, which cannot be sent")}
	}
	if len(s) > 253 {
		return nil, &Error{Op: words[0], Class: Perm, Err: fmt.Errorf("the command has %d octets, 255 are allowed", len(s)+2)}
	}
	return append([]byte(s), '\r', '\n'), nil
}

// quiet returns a desync error if octets came that nobody asked for.
func (c *conn) quiet(op string) error {
	if c.outstanding == 0 && c.in.Buffered() > 0 {
		return c.fail(op, Protocol, fmt.Errorf("%w: %d octets came unasked", ErrDesync, c.in.Buffered()))
	}
	return nil
}

// ask sends one command and reads its status line.
func (c *conn) ask(wait time.Duration, words ...string) (status, error) {
	b, err := command(words...)
	if err != nil {
		return status{}, err
	}
	if err := c.quiet(words[0]); err != nil {
		return status{}, err
	}
	c.expect(wait)
	c.outstanding++
	c.out.send(b)
	return c.status(words[0])
}

// step is ask bound to a context, for commands that have a status line only.
func (c *conn) step(ctx context.Context, wait time.Duration, words ...string) (status, error) {
	end, err := c.begin(ctx)
	if err != nil {
		return status{}, err
	}
	defer end()
	return c.ask(wait, words...)
}
