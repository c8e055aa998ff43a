package mail

import (
	"errors"
	"fmt"
)

// A Kind sorts errors by what the one who meets them should do. It is mapped
// once to an acknowledgement (internal/bus), an HTTP status (internal/web) and
// an exit status (cmd/mailkeep).
type Kind uint8

// The kinds of errors.
const (
	Other     Kind = iota // not classified
	Invalid               // bad input: change it
	NotFound              // no such thing
	InUse                 // held by another process or session: wait or stop it
	Temporary             // may succeed later: retry
	NoSpace               // out of space: free some; nothing was acknowledged
	Corrupt               // stored bytes are not what was written: repair
	Denied                // credentials or permission refused
)

// String returns the kind as a word.
func (k Kind) String() string {
	return [...]string{"other", "invalid", "not found", "in use", "temporary", "no space", "corrupt", "denied"}[min(int(k), 7)]
}

// An Error carries a Kind and, for people, a hint what to do.
type Error struct {
	Kind Kind
	Hint string // a sentence that says what to do; may be empty
	Err  error
}

// Error returns the message of the cause, without the hint.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an error of the kind; the format may wrap with %w.
func Errorf(k Kind, format string, args ...any) error {
	return &Error{Kind: k, Err: fmt.Errorf(format, args...)}
}

// WithHint adds a hint for people to err, keeping its kind.
func WithHint(err error, format string, args ...any) error {
	return &Error{Kind: KindOf(err), Hint: fmt.Sprintf(format, args...), Err: err}
}

// KindOf returns the first kind other than Other in err's tree.
func KindOf(err error) Kind {
	for err != nil {
		e, ok := errors.AsType[*Error](err)
		if !ok {
			return Other
		}
		if e.Kind != Other {
			return e.Kind
		}
		err = e.Err
	}
	return Other
}

// HintOf returns the first hint in err's tree, or "".
func HintOf(err error) string {
	for err != nil {
		e, ok := errors.AsType[*Error](err)
		if !ok {
			return ""
		}
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Err
	}
	return ""
}
