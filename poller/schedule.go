package poller

import (
	"context"
	"slices"
	"sync"
	"time"
)

// An account is one mailbox of the schedule. Its fields belong to the schedule
// that is active; its pace is shared with the session. Status is guarded by
// Poller.mu.
type account struct {
	mailbox Mailbox
	host    *host
	due     time.Time
	tag     int64 // see fair.go
	index   int   // in the pile that holds it; -1 outside
	waiting bool
	running bool
	moving  bool // the last drain ended well and left more to do
	rare    bool // the server wants much time between logins: sessions are not cut short
	seen    bool // this process has held or spared a session

	started time.Time
	pace    *pace // of the session that runs

	asked  []*ticket // to be drained from the start
	served []*ticket // of the drain that runs, or that goes on

	status MailboxStatus

	look *look // set of a guest, which is no mailbox of the schedule: see look.go
}

// before implements member: by share while it waits for a place, else by time.
func (e *account) before(o *account) bool {
	if e.waiting && o.waiting && e.tag != o.tag {
		return e.tag < o.tag
	}
	return e.due.Before(o.due)
}

func (e *account) place() *int { return &e.index }

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
	due     pile[*account]
	ready   pile[*host]        // with mailboxes that wait and may start
	resting pile[*host]        // with mailboxes that wait for a time
	crowded map[*host]struct{} // with mailboxes that wait for the end of a session
	clock   int64              // the tag of the mailbox started last
	running map[*account]struct{}
	done    chan ended
	workers sync.WaitGroup
	open    int // tickets not settled

	wall, tick time.Time // the clock on the wall and the monotonic one, when they were last compared
}

// ended is what a worker hands over.
type ended struct {
	mailbox *account
	result  Result
	paused  time.Duration // by the board of the host
	probing bool
}

func (p *Poller) newSchedule() *schedule {
	return &schedule{
		p: p, crowded: make(map[*host]struct{}), running: make(map[*account]struct{}),
		done: make(chan ended, p.o.MaxSessions),
	}
}

// loop runs until ctx is done or, if once is set, no ticket is open. It returns
// when all workers have ended.
func (sch *schedule) loop(ctx context.Context, once bool) {
	defer sch.stop(ctx)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for !once || sch.open > 0 {
		now := time.Now()
		sch.watchClock(now)
		sch.wake(now)
		again := sch.dispatch(ctx, now)
		if once && sch.open == 0 {
			return // a host turned the last ones away
		}
		timer.Reset(time.Until(again))
		select {
		case e := <-sch.done:
			sch.finish(ctx, e)
		case t := <-sch.p.tickets:
			sch.admit(t)
		case a := <-sch.p.kicks:
			sch.kick(a)
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
	for _, pile := range []*pile[*host]{&sch.ready, &sch.resting} {
		pile.clear()
	}
	for _, h := range sch.p.hosts {
		h.queue.clear()
		h.where = nowhere
		sch.p.setHost(h)
	}
	sch.due.clear()
	for _, e := range sch.p.accounts {
		e.waiting = false
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
func (sch *schedule) plan(e *account, due time.Time, why Wait) {
	e.due = due
	sch.due.put(e)
	sch.p.setDue(e, why)
}

// admit takes a ticket: its mailbox is due now, or again if it is running.
func (sch *schedule) admit(t *ticket) {
	sch.open++
	t.of.asked = append(t.of.asked, t)
	sch.kick(t.of)
}

// kick makes e due now, unless it waits or runs.
func (sch *schedule) kick(e *account) {
	if !e.waiting && !e.running {
		sch.plan(e, time.Now(), WaitSchedule)
	}
}

// mostDrift is how far the clock on the wall may move against the monotonic one
// before the timetables are read anew.
const mostDrift = time.Minute

// watchClock notices that the clock on the wall was set. Only timetables go by
// it: what rests for an interval or after a failure is counted by the other.
func (sch *schedule) watchClock(now time.Time) {
	wall := sch.p.drainer.wall()
	drift := wall.Sub(sch.wall) - now.Sub(sch.tick)
	first := sch.tick.IsZero()
	sch.wall, sch.tick = wall, now
	if first || drift.Abs() < mostDrift {
		return
	}
	for _, e := range sch.p.accounts {
		if e.mailbox.Timetable != nil && !e.waiting && !e.running && e.status.Waits == WaitSchedule {
			sch.plan(e, now.Add(e.mailbox.nextRest(wall)), WaitSchedule)
		}
	}
}

// wake moves what is due to the queues of the hosts, and hosts that have rested
// to those that may start.
func (sch *schedule) wake(now time.Time) {
	for !sch.due.empty() && !sch.due.top().due.After(now) {
		e := sch.due.pop()
		e.waiting = true
		e.tag = max(e.tag, sch.clock)
		e.host.queue.put(e)
		sch.offer(e.host)
		sch.p.setHost(e.host)
	}
	for !sch.resting.empty() && !sch.resting.top().again.After(now) {
		h := sch.resting.pop()
		h.where = nowhere
		sch.offer(h)
	}
}

// offer puts a host where its first mailbox is found, unless it rests.
func (sch *schedule) offer(h *host) {
	if h.where == resting || h.queue.empty() {
		return
	}
	h.where = ready
	delete(sch.crowded, h)
	sch.ready.put(h)
}

// longSleep is how long the loop sleeps with nothing to wait for.
const longSleep = time.Hour

// dispatch starts what the limits allow, those that have had the least first, and
// returns when to look again.
func (sch *schedule) dispatch(ctx context.Context, now time.Time) time.Time {
	for !sch.ready.empty() && len(sch.running) < sch.p.o.MaxSessions {
		h := sch.ready.pop()
		h.where = nowhere
		e, at := h.next(now)
		switch {
		case e != nil:
			sch.start(ctx, e, now)
			sch.offer(h)
		case at.IsZero():
			sch.crowded[h] = struct{}{}
		default:
			h.where, h.again = resting, at
			sch.resting.put(h)
			if at.Equal(h.paused) {
				sch.turnAway(h, now)
			}
		}
	}
	sch.clear(now)
	return sch.again(now)
}

// turnAway answers those who asked for mailboxes of a host that pauses. The
// mailboxes wait on.
func (sch *schedule) turnAway(h *host, now time.Time) {
	for _, e := range h.queue.h {
		if e.look != nil {
			e.look.settle(Probe{}, hostPaused(h.key, h.paused.Sub(now)))
		}
		for _, t := range slices.Concat(e.asked, e.served) {
			t.result.Mailbox, t.result.Outcome = e.mailbox.Name, OutcomeTemp
			t.result.Err = hostPaused(h.key, h.paused.Sub(now))
			t.settle()
			sch.open--
		}
		e.asked, e.served = nil, nil
	}
}

// again returns when to look again.
func (sch *schedule) again(now time.Time) time.Time {
	at := now.Add(longSleep)
	if len(sch.crowded) > 0 || !sch.ready.empty() {
		at = now.Add(yieldTick) // places are wanted
	}
	if !sch.due.empty() && sch.due.top().due.Before(at) {
		at = sch.due.top().due
	}
	if !sch.resting.empty() && sch.resting.top().again.Before(at) {
		at = sch.resting.top().again
	}
	return at
}

// clear asks the sessions that have cost the most to end, where their places are
// wanted: one of each host that has none free, and one of all if there is none at
// all.
func (sch *schedule) clear(now time.Time) {
	ask := func(of *host) {
		if e := hog(sch.running, of, now); e != nil {
			e.pace.yield.Store(true)
		}
	}
	for h := range sch.crowded {
		ask(h)
	}
	if !sch.ready.empty() {
		ask(nil)
	}
}

// start gives e a worker.
func (sch *schedule) start(ctx context.Context, e *account, now time.Time) {
	e.waiting, e.running, e.started, e.pace = false, true, now, new(pace)
	e.served = append(e.served, e.asked...)
	e.asked = nil
	sch.clock = max(sch.clock, e.tag)
	sch.running[e] = struct{}{}
	sch.p.setStarted(e, now)
	sch.p.setHost(e.host)
	if e.look != nil {
		sch.workers.Go(func() { sch.done <- sch.p.receive(ctx, e) })
		return
	}
	o := occasion{asked: len(e.served) > 0 || e.moving, first: !e.seen, pace: e.pace}
	sch.workers.Go(func() { sch.done <- sch.p.poll(ctx, e, o) })
}

// finish takes a result: the mailbox is planned anew, and those who asked for it
// are answered once it has nothing more to do.
func (sch *schedule) finish(ctx context.Context, r ended) {
	e, res, now := r.mailbox, r.result, time.Now()
	delete(sch.running, e)
	e.running, e.seen = false, true
	e.tag += cost(res.Octets, now.Sub(e.started))
	e.host.ended(r, now)
	if e.look != nil {
		sch.offer(e.host)
		sch.p.setHost(e.host)
		return
	}
	e.moving = res.Err == nil && res.More
	e.rare = res.visit.Delay >= time.Minute
	goesOn := (e.moving || res.soon()) && ctx.Err() == nil
	for _, t := range e.served {
		t.add(res)
		if !goesOn {
			t.settle()
			sch.open--
		}
	}
	if !goesOn {
		e.served = nil
	}
	sch.p.setEnded(e, res)
	rest, why := res.Rest, res.Waits
	if len(e.asked) > 0 {
		rest, why = 0, WaitSchedule
	}
	sch.plan(e, now.Add(rest), why)
	sch.offer(e.host)
	sch.p.setHost(e.host)
}

// mostPatience is how long who asked for a drain is kept waiting for LOGIN-DELAY.
const mostPatience = 15 * time.Minute

// soon reports whether a drain that was asked for goes on after a rest, although
// it has not ended well: the server wants a moment.
func (r *Result) soon() bool {
	return r.Rest == ownLock && r.Outcome == OutcomeBusy || r.spared && r.Waits == WaitLoginDelay && r.Rest <= mostPatience
}
