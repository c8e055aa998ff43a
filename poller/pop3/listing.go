package pop3

import "context"

// A Row is one line of LIST.
type Row struct {
	Number int
	Size   int64 // octets as announced; -1 if unreadable
}

// A UidlRow is one line of UIDL.
type UidlRow struct {
	Number int
	UIDL   string // opaque octets; "" if blank or with controls
}

// Stat returns the number of messages and their octets.
func (t *Transaction) Stat(ctx context.Context) (count int, octets int64, err error) {
	return 0, 0, ErrUnsupported
}

// List returns the messages in ascending order of number.
func (t *Transaction) List(ctx context.Context) ([]Row, error) { return nil, ErrUnsupported }

// Uidl returns the unique-ids in ascending order of number; ErrUnsupported if
// the server has none.
func (t *Transaction) Uidl(ctx context.Context) ([]UidlRow, error) { return nil, ErrUnsupported }
