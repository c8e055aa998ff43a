package app

import (
	"container/list"
	"sync"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser/extract/worker"
)

// A recentKey names a document with all that its text depends on.
type recentKey struct {
	digest    mail.Digest
	ctype     string // with the charset
	extension string
}

// recent keeps the texts that were used last, within a number and a size.
type recent struct {
	entries, octets int // most

	mu    sync.Mutex
	used  *list.List // of *recentText, the last one used in front
	byKey map[recentKey]*list.Element
	held  int // octets
}

type recentText struct {
	key    recentKey
	answer worker.Answer
}

func newRecent(entries, octets int) *recent {
	return &recent{entries: entries, octets: octets, used: list.New(), byKey: map[recentKey]*list.Element{}}
}

// get returns a text that is kept. It takes the CPU time that it took when it
// was made, so that the budget of a message does not depend on what was read
// before.
func (r *recent) get(k recentKey) (worker.Answer, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.byKey[k]
	if !ok {
		return worker.Answer{}, false
	}
	r.used.MoveToFront(e)
	return e.Value.(*recentText).answer, true
}

// put keeps a text. One that would take a good part of the room is not kept.
func (r *recent) put(k recentKey, a worker.Answer) {
	if len(a.Text) > r.octets/4 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.byKey[k]; ok {
		return
	}
	r.byKey[k] = r.used.PushFront(&recentText{k, a})
	r.held += len(a.Text)
	for r.used.Len() > r.entries || r.held > r.octets {
		last := r.used.Remove(r.used.Back()).(*recentText)
		delete(r.byKey, last.key)
		r.held -= len(last.answer.Text)
	}
}
