package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/mailkeep/mailkeep/mail"
)

const serviceSearch = "search"

// ServeSearch answers the searches of a partition with f. Several calls of f may
// run at once. stop ends the service and waits for them.
func (b *Bus) ServeSearch(ctx context.Context, partition uint16, f func(context.Context, mail.SearchRequest) (mail.SearchAnswer, error)) (stop func(), err error) {
	return b.serve(ctx, serviceSearch, partition, func(ctx context.Context, body []byte) ([]byte, error) {
		var r mail.SearchRequest
		if err := json.Unmarshal(body, &r); err != nil {
			return nil, mail.Errorf(mail.Invalid, "unreadable search request")
		}
		a, err := f(ctx, r)
		if err != nil {
			return nil, err
		}
		return json.Marshal(a)
	})
}

// Search asks the process that has the index of a partition. An answer that
// exceeds what one payload holds is asked for again with half the hits: its
// Next goes on behind them. mail.Temporary says that no process answers; an
// error of the search itself keeps its Kind and hint.
func (b *Bus) Search(ctx context.Context, partition uint16, r mail.SearchRequest) (mail.SearchAnswer, error) {
	for {
		a, err := b.search(ctx, partition, r)
		if !errors.Is(err, errAnswerTooLarge) || r.Limit < 2 {
			return a, err
		}
		r.Limit /= 2
	}
}

func (b *Bus) search(ctx context.Context, partition uint16, r mail.SearchRequest) (a mail.SearchAnswer, err error) {
	body, err := json.Marshal(r)
	if err != nil {
		return a, fmt.Errorf("encode the search: %w", err)
	}
	text, err := b.request(ctx, serviceSearch, partition, body)
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return a, mail.Errorf(mail.Temporary, "the answer to a search cannot be read: %w", err)
	}
	return a, nil
}
