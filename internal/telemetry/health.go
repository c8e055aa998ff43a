package telemetry

import (
	"encoding/json"
	"net/http"
	"slices"
	"sync"

	"github.com/mailkeep/mailkeep/mail"
)

// A Health is a list of named checks. The zero Health has none and is healthy.
type Health struct {
	mu     sync.Mutex
	checks []check
	ready  bool
}

type check struct {
	name string
	run  func() error
}

// A Result is what one check found.
type Result struct {
	Name  string `json:"name"`
	OK    bool   `json:"ok"`
	Kind  string `json:"kind,omitempty"` // of the error, as mail.Kind names it
	Error string `json:"error,omitempty"`
	Hint  string `json:"hint,omitempty"`
}

// Add adds a check under a name, in the place of one with the same name. It
// must return within moments, and may run at the same time as itself.
func (h *Health) Add(name string, run func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := check{name, run}
	if i := slices.IndexFunc(h.checks, func(c check) bool { return c.name == name }); i >= 0 {
		h.checks[i] = c
		return
	}
	h.checks = append(h.checks, c)
}

// Check runs all checks, in the order in which they were added; ok says that
// none failed.
func (h *Health) Check() (ok bool, results []Result) {
	h.mu.Lock()
	checks := slices.Clone(h.checks)
	h.mu.Unlock()
	ok = true
	for _, c := range checks {
		r := Result{Name: c.name, OK: true}
		if err := c.run(); err != nil {
			r = Result{Name: c.name, Kind: mail.KindOf(err).String(), Error: err.Error(), Hint: mail.HintOf(err)}
			ok = false
		}
		results = append(results, r)
	}
	return ok, results
}

// SetReady says whether the process has started and takes work; not at first,
// and no more once it stops.
func (h *Health) SetReady(ready bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ready = ready
}

func (h *Health) isReady() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ready
}

// Healthz serves /healthz: 200 if all checks pass, else 503, with the results
// as JSON. The public page leaves out the texts of errors, which may name
// hosts and paths; the names and kinds tell an operator where to look.
func (h *Health) Healthz() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		ok, results := h.Check()
		write(w, ok, results)
	})
}

// Readyz serves /readyz: 200 if the process takes work (see SetReady) and all
// checks pass, else 503.
func (h *Health) Readyz() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		ready := h.isReady()
		ok, results := h.Check()
		results = append([]Result{{Name: "started", OK: ready}}, results...)
		write(w, ok && ready, results)
	})
}

func write(w http.ResponseWriter, ok bool, results []Result) {
	for i := range results {
		results[i].Error, results[i].Hint = "", ""
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	// An error of the writer is the client's: it has gone away.
	_ = json.NewEncoder(w).Encode(struct {
		OK     bool     `json:"ok"`
		Checks []Result `json:"checks"`
	}{ok, results})
}
