package pop3test

import (
	"fmt"
	"slices"
	"sync"
)

// A Message is one message of a mailbox.
type Message struct {
	// UIDL is the unique-id. It is sent as it is, even where it is empty, too
	// long, or the same as another's.
	UIDL string
	// Raw is sent as it is; CR LF is added at its end where that is missing, as
	// the terminator needs it.
	Raw []byte
}

// Messages makes messages of the texts, with the unique-ids "u1", "u2", ...
func Messages(raw ...string) []Message {
	ms := make([]Message, len(raw))
	for i, r := range raw {
		ms[i] = Message{UIDL: fmt.Sprintf("u%d", i+1), Raw: []byte(r)}
	}
	return ms
}

// A Mailbox is what RFC 1939 calls a maildrop. Its fields say how it starts;
// Left says what it holds later.
type Mailbox struct {
	Password string
	// Accepts says whether a bearer token opens the mailbox; nil: none does. It
	// may be called by several sessions at once.
	Accepts  func(token string) bool
	Messages []Message

	mu      sync.Mutex
	loaded  bool
	holders int // sessions that hold the lock
	stored  []*stored
}

// A stored message is one entity of a mailbox: equal messages are distinct.
type stored struct {
	Message
	hidden bool // not shown to later sessions, yet not deleted
	gone   bool
}

// Add delivers messages. A session that is open does not see them.
func (b *Mailbox) Add(ms ...Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.load()
	for _, m := range ms {
		b.stored = append(b.stored, &stored{Message: m})
	}
}

// Left returns the messages that the mailbox holds, hidden ones included.
func (b *Mailbox) Left() []Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.load()
	ms := make([]Message, len(b.stored))
	for i, m := range b.stored {
		ms[i] = m.Message
	}
	return ms
}

// Rename gives all messages the unique-ids that f makes of theirs, as a server
// does that was moved or has lost its index.
func (b *Mailbox) Rename(f func(uidl string) string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.load()
	for _, m := range b.stored {
		m.UIDL = f(m.UIDL)
	}
}

// Take removes the messages that want chooses and returns them, as another client
// of the mailbox does.
func (b *Mailbox) Take(want func(Message) bool) []Message {
	b.mu.Lock()
	b.load()
	var taken []*stored
	for _, m := range b.stored {
		if want(m.Message) {
			taken = append(taken, m)
		}
	}
	b.mu.Unlock()
	return b.remove(taken)
}

func (b *Mailbox) load() {
	if b.loaded {
		return
	}
	b.loaded = true
	for _, m := range b.Messages {
		b.stored = append(b.stored, &stored{Message: m})
	}
}

// open takes the lock and returns what the session will see; false if another
// session holds the mailbox and shared is not set.
func (b *Mailbox) open(shared bool) ([]*stored, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.holders > 0 && !shared {
		return nil, false
	}
	b.load()
	b.holders++
	seen := make([]*stored, 0, len(b.stored))
	for _, m := range b.stored {
		if !m.hidden {
			seen = append(seen, m)
		}
	}
	return seen, true
}

func (b *Mailbox) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.holders--
}

// remove deletes those of ms that are there and returns them.
func (b *Mailbox) remove(ms []*stored) []Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	var removed []Message
	for _, m := range ms {
		if !m.gone {
			m.gone = true
			removed = append(removed, m.Message)
		}
	}
	b.stored = slices.DeleteFunc(b.stored, func(m *stored) bool { return m.gone })
	return removed
}

func (b *Mailbox) hide(ms []*stored) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range ms {
		m.hidden = true
	}
}

func (b *Mailbox) isGone(m *stored) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return m.gone
}
