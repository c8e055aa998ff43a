package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/mailkeep/mailkeep/mail"
)

// maxOrder bounds the body of an order: some million ids.
const maxOrder = 64 << 20

// ordered answers an order that is in the body of the request.
func ordered[Order, Done any](f func(context.Context, Order) (Done, error)) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		var o Order
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOrder))
		d.DisallowUnknownFields()
		if err := d.Decode(&o); err != nil {
			return mail.Errorf(mail.Invalid, "read the order: %w", err)
		}
		done, err := f(r.Context(), o)
		if err != nil {
			return err
		}
		return reply(w, done)
	}
}

func (s Service) matters(w http.ResponseWriter, r *http.Request) error {
	all, err := s.Matters(r.Context())
	if err != nil {
		return err
	}
	return reply(w, all)
}

// Hold has the process place or release a legal hold.
func (c *Client) Hold(ctx context.Context, h mail.Hold) (m mail.Matter, err error) {
	err = c.order(ctx, "/v1/hold", h, &m)
	return m, err
}

// Matters asks for all matters.
func (c *Client) Matters(ctx context.Context) (all []mail.Matter, err error) {
	err = c.get(ctx, "/v1/matters", &all)
	return all, err
}

// Erase has the process erase records.
func (c *Client) Erase(ctx context.Context, o mail.EraseOrder) (done mail.Erased, err error) {
	err = c.order(ctx, "/v1/erase", o, &done)
	return done, err
}

// Recall has the process look for messages in the index.
func (c *Client) Recall(ctx context.Context, o mail.RecallOrder) (r mail.Recalled, err error) {
	err = c.order(ctx, "/v1/recall", o, &r)
	return r, err
}

func (c *Client) order(ctx context.Context, path string, order, v any) error {
	b, err := json.Marshal(order)
	if err != nil {
		return fmt.Errorf("write the order: %w", err)
	}
	return c.exchange(ctx, http.MethodPost, path, bytes.NewReader(b), v)
}
