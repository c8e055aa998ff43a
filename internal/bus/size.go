package bus

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/nats-io/nats.go"
)

const (
	serviceSize = "size"
	sizePeriod  = 10 * time.Second
)

// ServeSize answers questions for the durable size of a partition's ledger
// with f.
func (b *Bus) ServeSize(ctx context.Context, partition uint16, f func() uint64) (stop func(), err error) {
	return b.serve(ctx, serviceSize, partition, func(context.Context, []byte) ([]byte, error) {
		return strconv.AppendUint(nil, f(), 10), nil
	})
}

// LedgerSize asks for the durable size of a partition's ledger.
func (b *Bus) LedgerSize(ctx context.Context, partition uint16) (uint64, error) {
	text, err := b.request(ctx, serviceSize, partition, nil)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(string(text), 10, 64)
	if err != nil {
		return 0, mail.Errorf(mail.Temporary, "the archive's answer is not a size")
	}
	return n, nil
}

// AnnounceSize tells followers that a ledger is durable up to size. An
// announcement may be lost; followers ask now and then.
func (b *Bus) AnnounceSize(partition uint16, size uint64) {
	if err := b.nc.Publish(sizeSubject(partition), strconv.AppendUint(nil, size, 10)); err != nil {
		b.log.Debug("ledger size not announced", slog.Any("error", err))
	}
}

// FollowSize calls f with the durable size of a ledger, at first and whenever
// it has grown, until ctx ends or the Bus is closed; it blocks until then and
// returns nil. Calls are made one at a time; sizes between two calls are left
// out. That no archive runs is not an error: f is called when there is one.
func (b *Bus) FollowSize(ctx context.Context, partition uint16, f func(uint64)) error {
	ctx, cancel := b.bind(ctx)
	defer cancel()
	latest := make(chan uint64, 1)
	sub, err := b.nc.Subscribe(sizeSubject(partition), func(m *nats.Msg) {
		if n, err := strconv.ParseUint(string(m.Data), 10, 64); err == nil {
			replace(latest, n)
		}
	})
	if err != nil {
		return classify(ctx, "follow the size of the ledger", err)
	}
	defer sub.Unsubscribe() //nolint:errcheck // it fails only with the connection gone
	b.followSize(ctx, partition, latest, f)
	return nil
}

func (b *Bus) followSize(ctx context.Context, partition uint16, latest <-chan uint64, f func(uint64)) {
	tick := time.NewTicker(sizePeriod)
	defer tick.Stop()
	known, size := false, uint64(0)
	see := func(n uint64) {
		if !known || n > size {
			known, size = true, n
			f(n)
		}
	}
	ask := func() {
		if n, err := b.LedgerSize(ctx, partition); err == nil {
			see(n)
		}
	}
	for ask(); ; {
		select {
		case <-ctx.Done():
			return
		case n := <-latest:
			see(n)
		case <-tick.C:
			ask()
		}
	}
}

// replace puts n into ch in the place of what is there. It has one caller at a
// time.
func replace(ch chan uint64, n uint64) {
	select {
	case <-ch:
	default:
	}
	ch <- n
}
