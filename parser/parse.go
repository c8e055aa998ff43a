package parser

import (
	"io"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// Parse reads a message that is in memory, with DefaultLimits. It is total: it
// returns a message for every b, and what is wrong with b as its defects.
func Parse(b []byte) *mail.Message {
	return &mail.Message{Parser: Version, Size: int64(len(b))}
}

// ParseAt reads the first size octets of r. It gives what Parse gives for the
// same octets but holds only a window of them in memory. The error is only ever
// r's own; a message comes without one, however broken it is.
func ParseAt(r io.ReaderAt, size int64, lim Limits) (*mail.Message, error) {
	return &mail.Message{Parser: Version, Size: size}, nil
}

// EffectiveDate returns the date to sort and search m by.
func EffectiveDate(m *mail.Message, fetched time.Time) (t time.Time, source string) {
	return fetched, "fetched"
}

// PartReader returns the decoded octets of the leaf p of the message in r.
func PartReader(r io.ReaderAt, p mail.Part) io.Reader {
	return io.NewSectionReader(r, p.OffBody, p.Len)
}
