package sink

import (
	"fmt"
	"sync"
)

// A health is why the committer cannot seal: nil errors if it can.
type health struct {
	mu        sync.Mutex
	appending error
	following error
}

func (h *health) append(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.appending = err
}

func (h *health) follow(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.following = err
}

func (h *health) err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.appending != nil:
		return fmt.Errorf("seal messages: %w", h.appending)
	case h.following != nil:
		return fmt.Errorf("bring the catalog up to the ledger: %w", h.following)
	}
	return nil
}
