package configs

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mailkeep/mailkeep/mail"
)

// A Fault is one mistake in the configuration.
type Fault struct {
	// Where the value was written: "mailkeep.yaml:12", the name of an
	// environment variable, a flag such as "--log-level", or "default".
	Where string
	// Key is the full key, such as "poll.interval"; empty if the fault is not
	// about one.
	Key string
	// Problem says what is wrong, and Hint what to do.
	Problem string
	Hint    string

	line int // orders the faults of one file
}

// String returns the fault on one line: "WHERE: KEY: PROBLEM; HINT".
func (f Fault) String() string {
	var b strings.Builder
	for _, s := range []string{f.Where, f.Key} {
		if s != "" {
			b.WriteString(s)
			b.WriteString(": ")
		}
	}
	b.WriteString(f.Problem)
	if f.Hint != "" {
		b.WriteString("; ")
		b.WriteString(f.Hint)
	}
	return b.String()
}

// Faults are all mistakes of a configuration, in the order of their places. As
// an error it has the kind mail.Invalid.
type Faults []Fault

// Error returns one fault per line.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// err returns fs as an error of the kind mail.Invalid, sorted, or nil.
func (fs Faults) err() error {
	if len(fs) == 0 {
		return nil
	}
	fs.sort()
	return &mail.Error{Kind: mail.Invalid, Err: fs}
}

// sort orders by place: sources in the order of their names, lines in theirs.
// Faults of one place keep their order.
func (fs Faults) sort() {
	slices.SortStableFunc(fs, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.file(), b.file()), cmp.Compare(a.line, b.line))
	})
}

func (f Fault) file() string {
	file, _, _ := strings.Cut(f.Where, ":")
	return file
}

// A problem is a fault that does not know its place yet.
type problem struct{ text, hint string }

// clip makes outside text fit to stand in a message: one line of printable
// characters, at most 64 octets and an ellipsis.
func clip(s string) string {
	const most = 64
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s)
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
