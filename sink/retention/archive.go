package retention

import (
	"context"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/catalog"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

// An Archive is what orders are given to. Its methods may be called at once.
type Archive struct {
	Partitions []Partition // in order, all of them
	// Until returns until when a message or reference must be kept, such as Rules.Until;
	// nil: no retention is in force.
	Until func(mail.Record) time.Time
	Now   func() time.Time // nil: time.Now
}

// A Partition is one ledger with its catalog.
type Partition struct {
	Ledger  *ledger.Ledger
	Catalog *catalog.Catalog
	// Turn runs work while nobody else appends to the ledger, with a catalog that is
	// level with it before and after; see sink.Sink.Turn.
	Turn func(ctx context.Context, work func(context.Context) error) error
}

// The limits of what people write into events, in octets.
const (
	maxMatter = 200
	maxReason = 2000
	maxBy     = 200
	maxQuery  = 64 << 10
)

// checkText refuses what is not one line of text.
func checkText(what, text string, most int) error {
	switch {
	case strings.TrimSpace(text) == "":
		return mail.Errorf(mail.Invalid, "%s is missing", what)
	case len(text) > most:
		return mail.Errorf(mail.Invalid, "%s has %d octets, more than %d", what, len(text), most)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl):
		return mail.Errorf(mail.Invalid, "%s %.60q is not one line of text", what, text)
	}
	return nil
}

// checkBy refuses a name of who orders that is not one line; none is as good.
func checkBy(by string) error {
	if by == "" {
		return nil
	}
	return checkText("the name of who orders", by, maxBy)
}

// shares sorts records by partition. A partition that the archive lacks is
// mail.NotFound.
func (a Archive) shares(ids []mail.ID) (map[int][]mail.ID, error) {
	out := map[int][]mail.ID{}
	seen := make(map[mail.ID]bool, len(ids))
	for _, id := range ids {
		if int(id.Partition) >= len(a.Partitions) {
			return nil, noMessage(id)
		}
		if !seen[id] {
			seen[id] = true
			out[int(id.Partition)] = append(out[int(id.Partition)], id)
		}
	}
	return out, nil
}

func noMessage(id mail.ID) error {
	return mail.WithHint(mail.Errorf(mail.NotFound, "there is no message %s", id), "ids are printed by mailkeep search")
}

// append seals events.
func (p Partition) append(ctx context.Context, events ...mail.Event) error {
	batch := make([]*ledger.Entry, 0, len(events))
	for _, e := range events {
		entry, err := p.Ledger.Maker().Event(e)
		if err != nil {
			return err
		}
		batch = append(batch, entry)
	}
	sealed, err := p.Ledger.Append(ctx, batch)
	if err != nil {
		return err
	}
	for _, s := range sealed {
		if s.Err != nil {
			return s.Err
		}
	}
	return nil
}
