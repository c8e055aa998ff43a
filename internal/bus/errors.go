package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Error codes of the JetStream API that nats.go does not name.
const (
	codeInsufficientResources jetstream.ErrorCode = 10023
	codeStorageExceeded       jetstream.ErrorCode = 10047
	codeAccountExceeded       jetstream.ErrorCode = 10002
	codeStoreFailed           jetstream.ErrorCode = 10077 // the text tells why
)

// classify gives an error of NATS its mail.Kind and says what was being done.
// The end of ctx itself is passed on as it is.
func classify(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", doing, context.Cause(ctx))
	}
	if mail.KindOf(err) != mail.Other {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return mail.Errorf(kindOf(err), "%s: %w", doing, err)
}

func kindOf(err error) mail.Kind {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		return kindOfAPI(api)
	}
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrPermissionViolation), errors.Is(err, nats.ErrAuthExpired):
		return mail.Denied
	case errors.Is(err, nats.ErrMaxPayload):
		return mail.Invalid
	}
	// What is left is the network or the server: no responder, a timeout, a
	// connection that is being restored.
	return mail.Temporary
}

func kindOfAPI(e *jetstream.APIError) mail.Kind {
	switch e.ErrorCode {
	case codeInsufficientResources, codeStorageExceeded, codeAccountExceeded:
		return mail.NoSpace
	case codeStoreFailed:
		if strings.Contains(e.Description, "maximum bytes") {
			return mail.NoSpace
		}
	case jetstream.JSErrCodeStreamMessageExceedsMaximum:
		return mail.Invalid
	case jetstream.JSErrCodeMessageNotFound:
		return mail.NotFound
	}
	return mail.Temporary
}

// wrongSequence reports whether a compare-and-swap publication lost.
func wrongSequence(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// A fault is an error as it travels to another process.
type fault struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
	Hint string `json:"hint,omitempty"`
}

func faultOf(err error) *fault {
	return &fault{Kind: mail.KindOf(err).String(), Text: err.Error(), Hint: mail.HintOf(err)}
}

func (f *fault) err() error {
	err := mail.Errorf(parseKind(f.Kind), "%s", f.Text)
	if f.Hint != "" {
		err = mail.WithHint(err, "%s", f.Hint)
	}
	return err
}

// parseKind is the inverse of mail.Kind.String; an unknown word, as a newer
// process may send, is Other.
func parseKind(word string) mail.Kind {
	for k := mail.Other; k <= mail.Denied; k++ {
		if k.String() == word {
			return k
		}
	}
	return mail.Other
}
