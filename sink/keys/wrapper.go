package keys

import (
	"context"
	"errors"

	"github.com/mailkeep/mailkeep/mail"
)

// A Wrapper is a key source: it keeps the KEKs and seals small secrets under
// them. It may be used by many goroutines and processes at once. Errors have
// the kinds mail.Temporary (ask again), mail.Denied (wrong key, no permission),
// mail.NotFound wrapping ErrNoKEK (the epoch is not there, or is destroyed),
// mail.Corrupt (the box is damaged) and mail.Invalid.
type Wrapper interface {
	// Wrap seals plain under the KEK of e, bound to aad. The result, the box,
	// describes itself; it is at most maxBox octets for maxPlain octets.
	Wrap(ctx context.Context, e Epoch, plain, aad []byte) ([]byte, error)
	// Unwrap opens what Wrap has sealed with the same epoch and aad. The caller
	// clears the result.
	Unwrap(ctx context.Context, e Epoch, box, aad []byte) ([]byte, error)
	// NewEpoch makes sure that the group has an epoch newer than the version
	// after, and returns the newest. With after = 0 it is the current epoch,
	// made if there was none. A KEK that it makes is durable on return. It is
	// repeatable: when it is not known whether a call took effect, the same
	// call goes on.
	NewEpoch(ctx context.Context, g Group, after uint32) (Epoch, error)
	// DestroyEpoch destroys the KEKs of e and of all older epochs of its group,
	// for good; on nil that is durable. It is repeatable. Version 0 destroys
	// nothing: the call says whether the source could. A source that cannot
	// returns mail.Invalid, or mail.Denied, wrapping ErrCannotDestroy.
	DestroyEpoch(ctx context.Context, e Epoch) error
}

// What a Wrapper must be able to hold, in octets: the largest node set, and
// what Vault makes of it.
const (
	maxPlain = identitySize + 4 + maxNodes*nodeSize
	maxBox   = 2 << 20
)

// ErrNoKEK is wrapped by errors about a KEK that the source does not have.
var ErrNoKEK = errors.New("the key source has no key for it")

// ErrCannotDestroy is wrapped by the errors of a source that cannot destroy.
var ErrCannotDestroy = errors.New("the key source cannot destroy a key")

func noKEK(source string, e Epoch) error {
	return mail.WithHint(mail.Errorf(mail.NotFound, "%s: key encryption key %s: %w", source, e, ErrNoKEK),
		"Either it was destroyed, when something was erased, and this is an old copy; or this is not the key source of this archive.")
}

func wrongKEK(source string, e Epoch) error {
	return mail.WithHint(mail.Errorf(mail.Denied, "%s: key encryption key %s is not the one that was used", source, e),
		"Name the key source that the archive was made with. Nothing was changed.")
}
