package web

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"syscall"

	"github.com/mailkeep/mailkeep/mail"
)

// A Client asks a running process over its socket.
type Client struct{ http *http.Client }

// ErrNoProcess says that no process answers on the socket.
var ErrNoProcess = errors.New("no running mailkeep answers")

// NewClient returns a client of the socket at path, or ErrNoProcess.
func NewClient(ctx context.Context, path string) (*Client, error) {
	c, err := DialSocket(ctx, path)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, ErrNoProcess
	}
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", path, err)
	}
	c.Close() //nolint:errcheck // it was only a question
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return DialSocket(ctx, path) }
	return &Client{&http.Client{Transport: &http.Transport{DialContext: dial}}}, nil
}

// Close releases idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Search asks for one page.
func (c *Client) Search(ctx context.Context, r mail.SearchRequest) (a mail.SearchAnswer, err error) {
	err = c.order(ctx, "/v1/search", r, &a)
	return a, err
}

// Status decodes the status report into v.
func (c *Client) Status(ctx context.Context, v any) error { return c.get(ctx, "/v1/status", v) }

// History decodes the latest limit sessions of a mailbox into v.
func (c *Client) History(ctx context.Context, mailbox string, limit int, v any) error {
	q := url.Values{"name": {mailbox}, "limit": {strconv.Itoa(limit)}}
	return c.get(ctx, "/v1/history?"+q.Encode(), v)
}

// Probe has the process look at a mailbox on its server, and decodes what it
// found into v.
func (c *Client) Probe(ctx context.Context, mailbox string, force bool, v any) error {
	q := url.Values{"name": {mailbox}, "force": {strconv.FormatBool(force)}}
	return c.decode(ctx, http.MethodPost, "/v1/probe?"+q.Encode(), v)
}

// Reset has the process reset a mailbox.
func (c *Client) Reset(ctx context.Context, mailbox string) error {
	q := url.Values{"name": {mailbox}}
	return c.decode(ctx, http.MethodPost, "/v1/reset?"+q.Encode(), &struct{}{})
}

// Summary asks for the summary of a view: "catalog" or "index".
func (c *Client) Summary(ctx context.Context, view string, p uint16) (s mail.ViewSummary, err error) {
	err = c.get(ctx, fmt.Sprintf("/v1/partitions/%d/%s", p, view), &s)
	return s, err
}

// Documents calls yield with the position of each document of the partition's
// index until it returns false.
func (c *Client) Documents(ctx context.Context, p uint16, yield func(uint64) bool) error {
	body, err := c.open(ctx, http.MethodGet, fmt.Sprintf("/v1/partitions/%d/index/documents", p), nil)
	if err != nil {
		return err
	}
	defer body.Close() //nolint:errcheck // read only
	for s := bufio.NewScanner(body); ; {
		if !s.Scan() {
			return s.Err()
		}
		n, err := strconv.ParseUint(s.Text(), 10, 64)
		if err != nil {
			return fmt.Errorf("read the list of documents: %w", err)
		}
		if !yield(n) {
			return nil
		}
	}
}

func (c *Client) get(ctx context.Context, path string, v any) error {
	return c.decode(ctx, http.MethodGet, path, v)
}

func (c *Client) decode(ctx context.Context, method, path string, v any) error {
	return c.exchange(ctx, method, path, nil, v)
}

// exchange sends a body, nil for none, and decodes the answer into v.
func (c *Client) exchange(ctx context.Context, method, path string, send io.Reader, v any) error {
	body, err := c.open(ctx, method, path, send)
	if err != nil {
		return err
	}
	defer body.Close() //nolint:errcheck // read only
	if err := json.NewDecoder(body).Decode(v); err != nil {
		return fmt.Errorf("read the answer to %s: %w", path, err)
	}
	return nil
}

func (c *Client) open(ctx context.Context, method, path string, send io.Reader) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://mailkeep"+path, send)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the running mailkeep: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close() //nolint:errcheck // read only
		return nil, readFailure(resp)
	}
	return resp.Body, nil
}

func readFailure(resp *http.Response) error {
	var f Failure
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&f); err != nil {
		return fmt.Errorf("the running mailkeep answers %s", resp.Status)
	}
	return f.err()
}

// err is the error that a failure told of.
func (f Failure) err() error {
	kind := mail.Other
	for k := range statuses {
		if k.String() == f.Kind {
			kind = k
		}
	}
	return &mail.Error{Kind: kind, Hint: f.Hint, Err: errors.New(f.Error)}
}
