package web

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"github.com/mailkeep/mailkeep/mail"
)

// A handler writes its answer, or returns an error and has written nothing.
type handler func(http.ResponseWriter, *http.Request) error

// handle registers h; routes of absent roles answer 404 with a reason.
func handle(mux *http.ServeMux, pattern string, present bool, h handler) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		var err error
		if present {
			err = h(w, r)
		} else {
			err = mail.Errorf(mail.NotFound, "this process does not have the role that answers %s", r.URL.Path)
		}
		if err != nil {
			fail(w, err)
		}
	})
}

// Failure is the JSON body of an answer other than 200.
type Failure struct {
	Kind  string `json:"kind"`
	Error string `json:"error"`
	Hint  string `json:"hint,omitempty"`
}

// statuses maps kinds to HTTP statuses; a kind that is not here is a 500.
var statuses = map[mail.Kind]int{
	mail.Invalid:   http.StatusBadRequest,
	mail.NotFound:  http.StatusNotFound,
	mail.InUse:     http.StatusConflict,
	mail.Temporary: http.StatusServiceUnavailable,
	mail.NoSpace:   http.StatusInsufficientStorage,
	mail.Denied:    http.StatusForbidden,
}

func fail(w http.ResponseWriter, err error) {
	status, ok := statuses[mail.KindOf(err)]
	if !ok {
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(Failure{mail.KindOf(err).String(), err.Error(), mail.HintOf(err)}) //nolint:errcheck // the peer is gone
}

func reply(w http.ResponseWriter, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(append(b, '\n'))
	return ignorePeer(err)
}

// ignorePeer drops the error of a write to a peer that has gone away: nothing
// can be told to it any more.
func ignorePeer(error) error { return nil }

func (s Service) search(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	req := mail.SearchRequest{
		Query: q.Get("q"), After: q.Get("after"),
		Zone: q.Get("zone"), Strict: q.Get("strict") == "true", Explain: q.Get("explain") == "true", Evidence: true,
	}
	var err error
	if req.Limit, err = limit(q); err != nil {
		return err
	}
	a, err := s.Search(r.Context(), req)
	if err != nil {
		return err
	}
	return reply(w, a)
}

// limit reads ?limit=; 0 if it is missing.
func limit(q url.Values) (int, error) {
	text := q.Get("limit")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, mail.Errorf(mail.Invalid, "limit %q is not a number", text)
	}
	return n, nil
}

func (s Service) history(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	n, err := limit(q)
	if err != nil {
		return err
	}
	v, err := s.History(r.Context(), q.Get("name"), n)
	if err != nil {
		return err
	}
	return reply(w, v)
}

func (s Service) probe(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	v, err := s.Probe(r.Context(), q.Get("name"), q.Get("force") == "true")
	if err != nil {
		return err
	}
	return reply(w, v)
}

func (s Service) reset(w http.ResponseWriter, r *http.Request) error {
	if err := s.Reset(r.Context(), r.URL.Query().Get("name")); err != nil {
		return err
	}
	return reply(w, struct{}{})
}

func (s Service) status(w http.ResponseWriter, r *http.Request) error {
	v, err := s.Status(r.Context())
	if err != nil {
		return err
	}
	return reply(w, v)
}

func partition(r *http.Request) (uint16, error) {
	p, err := strconv.ParseUint(r.PathValue("p"), 10, 16)
	if err != nil {
		return 0, mail.Errorf(mail.Invalid, "partition %q is not a number", r.PathValue("p"))
	}
	return uint16(p), nil
}

func summary(f func(ctx context.Context, p uint16) (mail.ViewSummary, error)) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		p, err := partition(r)
		if err != nil {
			return err
		}
		v, err := f(r.Context(), p)
		if err != nil {
			return err
		}
		return reply(w, v)
	}
}

// documents streams; a failure after the first line breaks the connection off,
// which the client sees as an unexpected end.
func (s Service) documents(w http.ResponseWriter, r *http.Request) error {
	p, err := partition(r)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain; charset=us-ascii")
	out := bufio.NewWriterSize(w, 64<<10)
	var line []byte
	err = s.IndexDocuments(r.Context(), p, func(pos uint64) bool {
		line = append(strconv.AppendUint(line[:0], pos, 10), '\n')
		_, err := out.Write(line)
		return err == nil
	})
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}
