package pop3

import (
	"context"
	"io"

	"github.com/mailkeep/mailkeep/mail"
)

// A Want is a message to retrieve.
type Want struct {
	Number int
	Size   int64 // as LIST announced; -1 if unknown
}

// A Window bounds what is outstanding.
type Window struct {
	Count      int   // RETRs sent and not answered
	Octets     int64 // LIST octets of them; one message may always be outstanding
	MaxMessage int64 // octets of one message; 0 for no limit
}

// A Retrieved is the outcome of one RETR: confirmed bytes, or an error.
type Retrieved struct {
	number    int
	fp        mail.Fingerprint
	announced int64
	bareLF    int64
	lines     int64
	err       error
	of        *Transaction
}

// Number is the message's number in this session.
func (r Retrieved) Number() int { return r.number }

// Fingerprint identifies the octets delivered; zero if Err is not nil.
func (r Retrieved) Fingerprint() mail.Fingerprint { return r.fp }

// Announced is n of `+OK n octets`, or -1.
func (r Retrieved) Announced() int64 { return r.announced }

// BareLF counts the LFs that no CR precedes.
func (r Retrieved) BareLF() int64 { return r.bareLF }

// Lines counts the LFs.
func (r Retrieved) Lines() int64 { return r.lines }

// Err is why there is no message, or nil.
func (r Retrieved) Err() error { return r.err }

// Retrieve fetches messages.
func (t *Transaction) Retrieve(ctx context.Context, wants []Want, window Window,
	sink func(n int) (io.Writer, error), got func(Retrieved) error) error {
	return ErrUnsupported
}

// Top returns the digest of message n's header block as TOP n 0 sends it.
func (t *Transaction) Top(ctx context.Context, n int) (header mail.Digest, err error) {
	return mail.Digest{}, ErrUnsupported
}
