package bus

import (
	"bytes"
	"context"
	"io"
	"sync"
	"sync/atomic"

	"github.com/mailkeep/mailkeep/mail"
)

// handLine is how many messages may wait for the consumer of a partition.
const handLine = 1024

// A handover passes messages from the transfers of this process to the archive in
// the same process. What goes this way is in memory alone, and lost with the
// process: its server has it still. It is bounded; what it has no room for, and
// what nobody is there to take, goes through RAW and BIG like everything else.
type handover struct {
	// Small messages, up to Options.Inline, count from Commit on, large ones while
	// they arrive. Each kind has half, so that large ones whose server is slow keep
	// out no small ones.
	small, large room

	// mu guards the lines, and sending on one against its close.
	mu    sync.Mutex
	lines map[uint16]chan *handed // by partition, while it is consumed
	count atomic.Int64            // offered and not settled
}

func newHandover(octets int64) *handover {
	return &handover{small: room{limit: octets / 2}, large: room{limit: octets / 2}, lines: map[uint16]chan *handed{}}
}

// A room is how many octets may be in memory.
type room struct {
	limit int64
	used  atomic.Int64
}

func (r *room) take(n int64) bool {
	if r.used.Add(n) <= r.limit {
		return true
	}
	r.used.Add(-n)
	return false
}

func (r *room) give(n int64) { r.used.Add(-n) }

// offer puts m, which has its room, in the line of its partition. It reports false
// if nobody takes from it or it is full.
func (h *handover) offer(partition uint16, m *handed) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	line := h.lines[partition]
	if line == nil {
		return false
	}
	h.count.Add(1)
	select {
	case line <- m:
		return true
	default:
		h.count.Add(-1)
		return false
	}
}

// open begins to take messages of a partition; nil if somebody does already.
func (h *handover) open(partition uint16) <-chan *handed {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lines[partition] != nil {
		return nil
	}
	line := make(chan *handed, handLine)
	h.lines[partition] = line
	return line
}

// end closes the line of a partition. What is in it can still be received.
func (h *handover) end(partition uint16) {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.lines[partition])
	delete(h.lines, partition)
}

// depth tells how many messages and octets are under way.
func (h *handover) depth() (messages, octets uint64) {
	return uint64(h.count.Load()), uint64(h.small.used.Load() + h.large.used.Load())
}

// A handed is a message between its Commit and its settlement.
type handed struct {
	bus      *Bus
	transfer string
	delivery mail.Delivery
	raw      []byte
	room     *room // that holds octets
	octets   int64
	once     sync.Once
	settled  func() // set by the consumer that holds it
}

func (m *handed) inbound() Inbound {
	return Inbound{Delivery: m.delivery, Ack: m.ack, Bytes: m.raw, Raw: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(m.raw)), nil
	}}
}

// ack settles the message. Where the archive cannot seal it now, the poller alone
// is told: the server has the message, and a later session brings it again.
func (m *handed) ack(r mail.Receipt, err error) {
	m.once.Do(func() {
		a := answer{Receipt: &r}
		if err != nil {
			a = answer{Fault: faultOf(err)}
		}
		m.bus.receipts.give(m.transfer, a)
		m.room.give(m.octets)
		m.bus.hand.count.Add(-1)
		m.settled()
	})
}
