package bus

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	subjectPollers = "svc.pollers"
	// maxPollerAnswers bounds what one AskPollers keeps.
	maxPollerAnswers = 4096
)

// ServePollers answers AskPollers with the pieces that f returns, each at most
// a payload. Every process that serves answers, so there is no queue group. f
// must not block. stop ends the service.
func (b *Bus) ServePollers(f func() [][]byte) (stop func(), err error) {
	sub, err := b.nc.Subscribe(subjectPollers, func(m *nats.Msg) {
		for _, piece := range f() {
			if err := b.nc.Publish(m.Reply, piece); err != nil {
				return // the asker takes what came in time
			}
		}
	})
	if err == nil {
		err = b.nc.FlushTimeout(requestWait)
	}
	if err != nil {
		return nil, fmt.Errorf("serve the pollers' state: %w", err)
	}
	return sync.OnceFunc(func() { sub.Unsubscribe() }), nil //nolint:errcheck // the connection is gone then
}

// AskPollers returns the pieces that come from the pollers of all processes
// within the wait. How many there are nobody knows, so it always waits; none is
// not an error.
func (b *Bus) AskPollers(ctx context.Context, wait time.Duration) ([][]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	inbox := b.nc.NewInbox()
	answers := make(chan *nats.Msg, maxPollerAnswers)
	sub, err := b.nc.ChanSubscribe(inbox, answers)
	if err != nil {
		return nil, fmt.Errorf("ask the pollers: %w", err)
	}
	defer sub.Unsubscribe() //nolint:errcheck // the connection is gone then
	if err := b.nc.PublishRequest(subjectPollers, inbox, nil); err != nil {
		return nil, fmt.Errorf("ask the pollers: %w", err)
	}
	var pieces [][]byte
	for {
		select {
		case m := <-answers:
			if len(m.Header) == 0 { // a header says that nobody serves
				pieces = append(pieces, m.Data)
			}
		case <-ctx.Done():
			return pieces, nil
		}
	}
}
