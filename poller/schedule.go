package poller

import (
	"container/heap"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// An account is one mailbox of the schedule. Its fields belong to the schedule
// that is active; while it runs, its breaker belongs to the worker. Status is
// guarded by Poller.mu.
type account struct {
	mailbox  Mailbox
	host     *host
	breaker  breaker
	due      time.Time
	index    int // in the heap; -1 outside
	waiting  bool
	running  bool
	failures int
	moving   bool // the last drain ended well and left more to do

	asked  []*ticket // to be drained from the start
	served []*ticket // of the drain that runs, or that goes on

	status MailboxStatus
}

// A ticket asks for one mailbox to be drained until it is empty or cannot go on.
type ticket struct {
	of     *account
	result Result // summed over the drains; complete once done is closed
	done   chan struct{}
}

// settle closes the ticket.
func (t *ticket) settle() { close(t.done) }

// add sums a drain into the ticket. What the server held at first and what is
// held back are told by the drains that listed it.
func (t *ticket) add(r Result) {
	sum := t.result
	t.result = r
	if sum.Sessions > 0 {
		t.result.Listed = sum.Listed
	}
	if r.Sessions == 0 {
		t.result.Held = sum.Held
	}
	t.result.Sessions += sum.Sessions
	t.result.Fetched += sum.Fetched
	t.result.Sealed += sum.Sealed
	t.result.Deleted += sum.Deleted
	t.result.Octets += sum.Octets
	t.result.Took += sum.Took
}

// A schedule decides what is drained when. One goroutine, that of loop, owns it;
// workers hand their results over by a channel with room for all of them.
type schedule struct {
	p       *Poller
	due     dueHeap
	ring    []*host // hosts with mailboxes that wait, next one first
	running int
	done    chan ended
	workers sync.WaitGroup
	open    int // tickets not settled
}

// ended is what a worker hands over.
type ended struct {
	mailbox *account
	result  Result
	dialed  bool
}

func (p *Poller) newSchedule() *schedule {
	return &schedule{p: p, done: make(chan ended, p.o.MaxSessions)}
}

// loop runs until ctx is done or, if once is set, no ticket is open. It returns
// when all workers have ended.
func (sch *schedule) loop(ctx context.Context, once bool) {
	defer sch.stop(ctx)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for !once || sch.open > 0 {
		now := time.Now()
		sch.wake(now)
		timer.Reset(time.Until(sch.dispatch(ctx, now)))
		select {
		case e := <-sch.done:
			sch.finish(ctx, e)
		case t := <-sch.p.tickets:
			sch.admit(t)
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
}

// stop waits for the workers, takes their results and settles what is open.
func (sch *schedule) stop(ctx context.Context) {
	sch.workers.Wait()
	for len(sch.done) > 0 {
		sch.finish(ctx, <-sch.done)
	}
	for _, e := range sch.p.accounts {
		e.waiting, e.index = false, -1
		e.host.queue, e.host.inRing = nil, false
		for _, t := range slices.Concat(e.asked, e.served) {
			if t.result.Outcome == OutcomeOK || t.result.Outcome == "" {
				t.result.Mailbox, t.result.Outcome = e.mailbox.Name, OutcomeStopped
				t.result.Err = failed(OutcomeStopped, context.Cause(ctx))
			}
			t.settle()
		}
		e.asked, e.served = nil, nil
	}
}

// plan sets when e is due; it is neither waiting nor running.
func (sch *schedule) plan(e *account, due time.Time) {
	e.due = due
	if e.index >= 0 {
		heap.Fix(&sch.due, e.index)
	} else {
		heap.Push(&sch.due, e)
	}
	sch.p.setDue(e)
}

// admit takes a ticket: its mailbox is due now, or again if it is running.
func (sch *schedule) admit(t *ticket) {
	sch.open++
	e := t.of
	e.asked = append(e.asked, t)
	if !e.waiting && !e.running {
		sch.plan(e, time.Now())
	}
}

// wake moves what is due to the queues of the hosts.
func (sch *schedule) wake(now time.Time) {
	for len(sch.due) > 0 && !sch.due[0].due.After(now) {
		e := heap.Pop(&sch.due).(*account)
		e.waiting = true
		e.host.queue = append(e.host.queue, e)
		if !e.host.inRing {
			e.host.inRing = true
			sch.ring = append(sch.ring, e.host)
		}
	}
}

// longSleep is how long the loop sleeps with nothing to wait for.
const longSleep = time.Hour

// dispatch starts what the limits allow, one mailbox of each host in turn, and
// returns when to look again.
func (sch *schedule) dispatch(ctx context.Context, now time.Time) time.Time {
	again := now.Add(longSleep)
	if len(sch.due) > 0 && sch.due[0].due.Before(again) {
		again = sch.due[0].due
	}
	for idle := 0; idle < len(sch.ring) && sch.running < sch.p.o.MaxSessions; idle++ {
		h := sch.ring[0]
		sch.ring = sch.ring[1:]
		e, at := h.next(now)
		if h.inRing = len(h.queue) > 0; h.inRing {
			sch.ring = append(sch.ring, h)
		}
		if e != nil {
			sch.start(ctx, e, now)
			idle = -1
		} else if !at.IsZero() && at.Before(again) {
			again = at
		}
	}
	return again
}

// start gives e a worker.
func (sch *schedule) start(ctx context.Context, e *account, now time.Time) {
	e.waiting, e.running = false, true
	e.served = append(e.served, e.asked...)
	e.asked = nil
	sch.running++
	sch.p.setStarted(e, now)
	sch.workers.Go(func() {
		result, dialed := sch.p.poll(ctx, e)
		sch.done <- ended{e, result, dialed}
	})
}

// finish takes a result: the mailbox is planned anew, and those who asked for it
// are answered once it has nothing more to do.
func (sch *schedule) finish(ctx context.Context, r ended) {
	e, now := r.mailbox, time.Now()
	e.running = false
	sch.running--
	e.host.ended(r.result, r.dialed, now)
	wait := e.conclude(r.result, r.dialed)
	goesOn := (e.moving || wait == ownLock) && ctx.Err() == nil
	for _, t := range e.served {
		t.add(r.result)
		if !goesOn {
			t.settle()
			sch.open--
		}
	}
	if !goesOn {
		e.served = nil
	}
	sch.p.setEnded(e, r.result, now)
	if len(e.asked) > 0 {
		wait = 0
	}
	sch.plan(e, now.Add(wait))
}

// conclude returns how long the mailbox rests after a drain.
func (e *account) conclude(r Result, dialed bool) time.Duration {
	switch {
	case r.Err == nil:
		e.failures = 0
	case r.More:
		e.failures = 1 // it came forward
	default:
		e.failures++
	}
	moved := e.moving
	e.moving = r.Err == nil && r.More
	switch {
	case e.moving:
		return max(r.LoginDelay, breath)
	case moved && r.Outcome == OutcomeBusy:
		return ownLock
	case r.Err == nil:
		return max(jittered(e.mailbox.Interval), r.LoginDelay)
	case !dialed, r.Outcome == OutcomeCredentials && e.failures == 1:
		// To look for another password, or for one that could not be read, costs
		// nobody anything.
		return jittered(e.mailbox.Interval)
	}
	return max(backoff(r.Outcome, e.failures), r.LoginDelay)
}

// ownLock is the wait for a server that still holds the lock of the session
// before.
const ownLock = 3 * time.Second

// errBlocked stands for the sessions that an open breaker spares.
var errBlocked = failed(OutcomeCredentials, mail.WithHint(
	mail.Errorf(mail.Denied, "the password was refused three times and is not tried again"),
	"set the right password for the mailbox; it is used as soon as it changes"))

// A dueHeap orders mailboxes by when they are due.
type dueHeap []*account

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }

func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *dueHeap) Push(x any) {
	e := x.(*account)
	e.index = len(*h)
	*h = append(*h, e)
}

// Pop implements heap.Interface.
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	e.index = -1
	return e
}
