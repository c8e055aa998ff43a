package pop3

import (
	"errors"
	"fmt"

	"github.com/mailkeep/mailkeep/mail"
)

// Sentinels for the decisions callers make; test with errors.Is.
var (
	// ErrUnsupported says that the server does not have the command.
	ErrUnsupported = errors.New("not supported by the server")
	// ErrDoubt says that a message could not be shown to be the one a receipt
	// was given for. Nothing is wrong with the session: fetch the message.
	ErrDoubt = errors.New("in doubt")
	// ErrNoWarrant says that Delete was given a Warrant that this transaction
	// did not issue, or issued and used already.
	ErrNoWarrant = errors.New("no warrant of this transaction")
	// ErrDesync says that client and server no longer agree which answer
	// belongs to which command. The connection is closed without QUIT.
	ErrDesync = errors.New("answers out of step")
	// ErrTooLarge says that a message exceeds Window.MaxMessage.
	ErrTooLarge = errors.New("message over the size limit")
	// ErrClosed says that the session has ended.
	ErrClosed = errors.New("session closed")

	errAnswer = errors.New("negative answer")
)

// A Class sorts failures by what the caller should do next.
type Class uint8

// The classes.
const (
	None        Class = iota // no error, or one that is not of this package
	Credentials              // user or password refused: do not try again unchanged
	Busy                     // the mailbox is locked by another session: back off
	Rate                     // too many logins, or a quota is used up: wait as told
	Temp                     // network or server trouble: back off
	Perm                     // certificate, name or policy: a person must act
	Message                  // one message is refused; the session goes on
	Protocol                 // not POP3, or out of step: next session without pipelining
)

// String returns the class as a word.
func (c Class) String() string {
	return [...]string{"none", "credentials", "busy", "rate", "temp", "perm", "message", "protocol"}[min(int(c), 7)]
}

// Kind maps the class to the vocabulary of package mail.
func (c Class) Kind() mail.Kind {
	return [...]mail.Kind{
		None: mail.Other, Credentials: mail.Denied, Busy: mail.InUse, Rate: mail.Temporary,
		Temp: mail.Temporary, Perm: mail.Denied, Message: mail.Temporary, Protocol: mail.Temporary,
	}[min(int(c), 7)]
}

// An Error is a failure of one POP3 step.
type Error struct {
	Op    string // the step: "connect", "tls", "greeting", or the command without its arguments
	Class Class
	// Code is the response code of a -ERR answer in upper case without its
	// brackets, such as "SYS/TEMP" (RFC 2449 section 8, RFC 3206); or "".
	Code string
	// Text is what the server said: at most 200 octets, controls removed,
	// withheld where it repeats a secret.
	Text string
	// Challenge is what the server said of refused credentials before the -ERR,
	// as Text: the status of an OAUTHBEARER or XOAUTH2 error (RFC 7628 section
	// 3.2.2), or the error of SCRAM (RFC 5802 section 7); or "".
	Challenge string
	// Err is the cause; nil if the server's answer is all there is.
	Err error
}

// Error says what was being done, what came of it, and what the server said.
func (e *Error) Error() string {
	s := "pop3 " + e.Op + ": "
	if e.Err != nil {
		s += e.Err.Error()
	} else {
		s += "server refused"
	}
	if e.Code != "" {
		s += " [" + e.Code + "]"
	}
	if e.Text != "" {
		s += fmt.Sprintf(": %q", e.Text)
	}
	if e.Challenge != "" {
		s += fmt.Sprintf(" (%q)", e.Challenge)
	}
	return s
}

// Unwrap returns the cause, graded with the mail.Kind of the class unless the
// cause has one of its own.
func (e *Error) Unwrap() error {
	cause := e.Err
	if cause == nil {
		cause = errAnswer
	}
	if mail.KindOf(cause) != mail.Other {
		return cause
	}
	return &mail.Error{Kind: e.Class.Kind(), Err: cause}
}

// ClassOf returns the class of the first *Error in err's tree, or None.
func ClassOf(err error) Class {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class
	}
	return None
}
