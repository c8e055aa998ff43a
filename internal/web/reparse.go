package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// reparseEvery is how often the progress of a reparse is told.
const reparseEvery = 200 * time.Millisecond

// A reparseLine is one line of the answer to an order to read mail again: how
// far it has come, and in the last one how it ended.
type reparseLine struct {
	mail.Reparsed
	Ended   bool     `json:"ended,omitempty"`
	Failure *Failure `json:"failure,omitempty"`
}

// reparse does what the order in the body says, for as long as the client stays,
// and tells its progress line by line.
func (s Service) reparse(w http.ResponseWriter, r *http.Request) error {
	var o mail.ReparseOrder
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOrder))
	d.DisallowUnknownFields()
	if err := d.Decode(&o); err != nil {
		return mail.Errorf(mail.Invalid, "read the order: %w", err)
	}
	out := lines{w: w}
	done, err := s.Reparse(r.Context(), o, out.tell)
	last := reparseLine{Reparsed: done, Ended: true}
	if err != nil {
		last.Failure = &Failure{mail.KindOf(err).String(), err.Error(), mail.HintOf(err)}
	}
	out.write(last)
	return nil
}

// lines writes the progress of one order.
type lines struct {
	mu   sync.Mutex
	w    http.ResponseWriter
	last time.Time
}

// tell writes a line, unless the last was a moment ago.
func (l *lines) tell(r mail.Reparsed) {
	l.mu.Lock()
	skip := time.Since(l.last) < reparseEvery
	l.mu.Unlock()
	if !skip {
		l.write(reparseLine{Reparsed: r})
	}
}

func (l *lines) write(line reparseLine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = time.Now()
	_ = json.NewEncoder(l.w).Encode(line) // a peer that is gone ends the order by its context
	_ = http.NewResponseController(l.w).Flush()
}

// Reparse has the process read mail again. tell is told of its progress, and
// called by one goroutine.
func (c *Client) Reparse(ctx context.Context, o mail.ReparseOrder, tell func(mail.Reparsed)) (mail.Reparsed, error) {
	b, err := json.Marshal(o)
	if err != nil {
		return mail.Reparsed{}, err
	}
	body, err := c.open(ctx, http.MethodPost, "/v1/reparse", bytes.NewReader(b))
	if err != nil {
		return mail.Reparsed{}, err
	}
	defer body.Close() //nolint:errcheck // read only
	for d := json.NewDecoder(body); ; {
		var line reparseLine
		if err := d.Decode(&line); err != nil {
			return line.Reparsed, mail.WithHint(fmt.Errorf("the running mailkeep broke off: %w", errors.Join(err, ctx.Err())), "order it again: what is done is not done twice")
		}
		switch {
		case line.Failure != nil:
			return line.Reparsed, line.Failure.err()
		case line.Ended:
			return line.Reparsed, nil
		}
		tell(line.Reparsed)
	}
}
