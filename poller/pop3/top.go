package pop3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/mailkeep/mailkeep/mail"
)

// Top returns the digest of message n's header block as TOP n 0 sends it
// (RFC 1939 section 7): what mail.Fingerprint calls Header. It is of class
// Message if the server refuses, and ErrUnsupported if it does not announce TOP.
func (t *Transaction) Top(ctx context.Context, n int) (header mail.Digest, err error) {
	c := t.c
	end, err := c.begin(ctx, "TOP")
	if err != nil {
		return mail.Digest{}, err
	}
	defer end(&err)
	st, err := c.ask(c.timeouts.Retrieve, "TOP", strconv.Itoa(n), "0")
	if err != nil {
		return mail.Digest{}, err
	}
	if !st.ok {
		e := c.refusal("TOP", st, Message)
		if c.caps.Known && !c.caps.Top {
			e.Err = ErrUnsupported
		}
		return mail.Digest{}, e
	}
	f := mail.NewFingerprinter()
	c.wire.stream()
	switch err := c.body.copy(f, io.Discard, c.limits.Header); {
	case errors.Is(err, ErrTooLarge):
		return mail.Digest{}, c.fail("TOP", Message, fmt.Errorf("header of message %d: %w of %d octets", n, ErrTooLarge, c.limits.Header))
	case err != nil:
		return mail.Digest{}, c.failIO("TOP", err)
	}
	return f.Sum().Header, nil
}
