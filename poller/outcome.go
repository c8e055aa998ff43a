package poller

import (
	"context"
	"errors"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3"
)

// An Outcome is the class of what ended a session; it decides when the mailbox
// is tried again.
type Outcome string

// The outcomes.
const (
	OutcomeOK          Outcome = "ok"
	OutcomeCredentials Outcome = "credentials" // user or password refused
	OutcomeBusy        Outcome = "busy"        // another session holds the mailbox, on the server or by lease
	OutcomeRate        Outcome = "rate"        // too many logins, or a quota of the server is used up
	OutcomeTemp        Outcome = "temp"        // network or server trouble
	OutcomePerm        Outcome = "perm"        // certificate, name or policy: a person must act
	OutcomeProtocol    Outcome = "protocol"    // the server does not speak POP3, or fell out of step
	OutcomeArchive     Outcome = "archive"     // the archive is unavailable, full, or contradicts the server
	OutcomeBreaker     Outcome = "breaker"     // too much is in doubt to delete anything: a person must act
	OutcomeStopped     Outcome = "stopped"     // this process is stopping
)

// A failure is an error with the outcome that it means for the session.
type failure struct {
	outcome Outcome
	err     error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// failed marks err, if it is one, with an outcome.
func failed(o Outcome, err error) error {
	if err == nil {
		return nil
	}
	return &failure{outcome: o, err: err}
}

// OutcomeOf returns the outcome that err means for a session; OutcomeOK for nil.
func OutcomeOf(err error) Outcome {
	if err == nil {
		return OutcomeOK
	}
	if f, ok := errors.AsType[*failure](err); ok {
		return f.outcome
	}
	switch pop3.ClassOf(err) {
	case pop3.Credentials:
		return OutcomeCredentials
	case pop3.Busy:
		return OutcomeBusy
	case pop3.Rate:
		return OutcomeRate
	case pop3.Perm:
		return OutcomePerm
	case pop3.Protocol:
		return OutcomeProtocol
	case pop3.None:
		return outcomeOfKind(err)
	}
	return OutcomeTemp
}

// outcomeOfKind grades errors that do not come from the protocol client.
func outcomeOfKind(err error) Outcome {
	switch {
	case errors.Is(err, pop3.ErrDesync):
		return OutcomeProtocol
	case errors.Is(err, context.Canceled):
		return OutcomeStopped
	}
	switch mail.KindOf(err) {
	case mail.InUse:
		return OutcomeBusy
	case mail.Denied, mail.Invalid:
		return OutcomePerm
	}
	return OutcomeTemp
}
