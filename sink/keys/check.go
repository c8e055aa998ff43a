package keys

import (
	"bytes"
	"context"
	"fmt"

	"github.com/mailkeep/mailkeep/mail"
)

// A Check is the key check value of an archive: it is kept in the archive's
// root file and shows, before anything is written, whether a key source is the
// one that the archive was made with. It holds no secret.
type Check struct {
	Version uint32 `json:"version"` // of the KEK, in a group of its own
	Box     []byte `json:"box"`     // a fixed text, sealed and bound to the archive
}

const (
	checkTag  = "mar1/check"
	checkText = "mailkeep key check 1"
)

func checkAAD(archive [16]byte) []byte { return append([]byte(checkTag), archive[:]...) }

// NewCheck makes the check value of an archive, whose UUID it is given, for
// the key source w.
func NewCheck(ctx context.Context, w Wrapper, archive [16]byte) (*Check, error) {
	e, err := w.NewEpoch(ctx, checkGroup, 0)
	if err != nil {
		return nil, fmt.Errorf("make the key check value: %w", err)
	}
	box, err := wrapChecked(ctx, w, e, []byte(checkText), checkAAD(archive))
	if err != nil {
		return nil, fmt.Errorf("make the key check value: %w", err)
	}
	return &Check{Version: e.Version, Box: box}, nil
}

// Verify compares the key source that is configured, nil for none, with the
// check value of the archive, nil for none. It changes nothing. Errors:
//
//   - mail.Invalid: the archive is encrypted, and there is no key source.
//   - mail.Denied: this is not the key source of this archive.
//   - mail.NotFound, not wrapping ErrNoKEK: the archive has no check value yet.
//     Whoever may begin to encrypt it makes one with NewCheck, and keeps it in
//     the root file before the first record is sealed.
//   - mail.Temporary: the source does not answer.
func Verify(ctx context.Context, w Wrapper, archive [16]byte, c *Check) error {
	switch {
	case w == nil && c == nil:
		return nil
	case w == nil:
		return mail.WithHint(mail.Errorf(mail.Invalid, "this archive is encrypted, and no key is configured"),
			"Set encryption.key_file, encryption.key_env or encryption.vault to the key source that the archive was made with. Nothing was changed.")
	case c == nil:
		return mail.Errorf(mail.NotFound, "this archive has no key check value")
	}
	plain, err := w.Unwrap(ctx, Epoch{checkGroup, c.Version}, c.Box, checkAAD(archive))
	if err == nil && !bytes.Equal(plain, []byte(checkText)) {
		err = mail.Errorf(mail.Corrupt, "the key check value holds something else")
	}
	if err == nil {
		return nil
	}
	err = fmt.Errorf("the configured key does not open this archive: %w", err)
	if k := mail.KindOf(err); k == mail.NotFound || k == mail.Corrupt {
		err = &mail.Error{Kind: mail.Denied, Err: err}
	}
	return mail.WithHint(err, "Name the key source that the archive was made with; if it is, the archive's root file is damaged. Nothing was changed.")
}
