package poller

import (
	"container/heap"
	"sync/atomic"
	"time"
)

// Fairness. The unit is the mailbox and the currency is the octet: of mailboxes
// that wait for a place, the one goes first that has had the least. It is
// start-time fair queueing with equal weights, which gives what deficit round
// robin gives without rounds in which nothing happens: each mailbox has a start
// tag; the clock of the schedule is the tag of the mailbox started last; a
// mailbox that becomes due starts at the clock or at its own tag, whichever is
// later; and what a session has cost is added to the tag. A mailbox of a million
// messages so stands behind all that have had less, and takes every place that
// nobody else wants. One that has been idle has saved up nothing.
//
// A session costs the octets that it fetched, and for its place secondRate
// octets a second, so that a slow server cannot sit on a place for nothing.
// While others wait for its place, a session that has cost more than a slice is
// asked to end after the messages under way: what a small mailbox waits for a
// place is a slice and not a batch.

const (
	secondRate = 1 << 20  // octets
	slice      = 16 << 20 // octets
	// yieldTick is how often the sessions are looked at whose places are wanted.
	yieldTick = time.Second
)

// cost is what a session of the given length has cost.
func cost(octets int64, took time.Duration) int64 {
	return octets + int64(took.Seconds()*secondRate)
}

// hog returns the session that has cost the most, on one host or, of nil, on all,
// if it has had more than its slice and can be asked to end.
func hog(running map[*account]struct{}, of *host, now time.Time) *account {
	var worst *account
	most := int64(slice)
	for a := range running {
		if of != nil && a.host != of || a.pace.yields() || a.rare {
			continue
		}
		if c := cost(a.pace.fetched.Load(), now.Sub(a.started)); c > most {
			worst, most = a, c
		}
	}
	return worst
}

// A member is an element of a heap: it knows its order and its place.
type member[T any] interface {
	before(T) bool
	place() *int // index in the heap that holds it; -1 outside
}

// A pile is a heap whose least member is on top.
type pile[T member[T]] struct{ h pileHeap[T] }

func (p *pile[T]) empty() bool { return len(p.h) == 0 }
func (p *pile[T]) size() int   { return len(p.h) }
func (p *pile[T]) top() T      { return p.h[0] }
func (p *pile[T]) pop() T      { return heap.Pop(&p.h).(T) }

// put adds x, or moves it to where it belongs now.
func (p *pile[T]) put(x T) {
	if i := *x.place(); i >= 0 {
		heap.Fix(&p.h, i)
		return
	}
	heap.Push(&p.h, x)
}

// clear takes all members out.
func (p *pile[T]) clear() {
	for _, x := range p.h {
		*x.place() = -1
	}
	p.h = nil
}

// A pileHeap implements heap.Interface.
type pileHeap[T member[T]] []T

func (h pileHeap[T]) Len() int           { return len(h) }
func (h pileHeap[T]) Less(i, j int) bool { return h[i].before(h[j]) }

func (h pileHeap[T]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	*h[i].place(), *h[j].place() = i, j
}

// Push implements heap.Interface.
func (h *pileHeap[T]) Push(x any) {
	e := x.(T)
	*e.place() = len(*h)
	*h = append(*h, e)
}

// Pop implements heap.Interface.
func (h *pileHeap[T]) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	var none T
	(*h)[last] = none
	*h = (*h)[:last]
	*e.place() = -1
	return e
}

// A pace is how a session and the schedule that holds it know of each other: the
// session tells what it has fetched, the schedule asks it to end. A nil pace does
// neither.
type pace struct {
	fetched atomic.Int64
	yield   atomic.Bool
}

func (p *pace) moved(octets int64) {
	if p != nil {
		p.fetched.Store(octets)
	}
}

func (p *pace) yields() bool { return p != nil && p.yield.Load() }
