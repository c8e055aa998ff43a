package bus

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strconv"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// chunkWindow bounds the chunks of one transfer that wait for the server's
// acknowledgement, and with chunkSize its memory: 4 MiB. The transfers of a
// process share chunksInFlight; each has at least one chunk on its way, so that
// none waits for another.
const (
	chunkWindow    = 8
	chunksInFlight = 32
)

// chunkWindow is how many chunks a transfer may have in flight, as many transfers
// as there are.
func (b *Bus) chunkWindow() int {
	return min(max(chunksInFlight/int(max(b.big.Load(), 1)), 1), chunkWindow)
}

// A chunkWriter cuts a stream into chunks of chunkSize octets, the last one
// shorter, and publishes them as big.<id>.0, big.<id>.1 and so on.
type chunkWriter struct {
	bus    *Bus
	id     string
	n      int    // chunks published
	chunk  []byte // being filled
	flight []jetstream.PubAckFuture
}

func (w *chunkWriter) write(ctx context.Context, p []byte) error {
	for len(p) > 0 {
		if w.chunk == nil {
			w.chunk = make([]byte, 0, chunkSize)
		}
		n := min(len(p), chunkSize-len(w.chunk))
		w.chunk = append(w.chunk, p[:n]...)
		p = p[n:]
		if len(w.chunk) == chunkSize {
			if err := w.flush(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *chunkWriter) flush(ctx context.Context) error {
	for len(w.flight) >= w.bus.chunkWindow() {
		if err := w.await(ctx); err != nil {
			return err
		}
	}
	m := nats.NewMsg(chunkSubject(w.id, w.n))
	m.Header.Set(nats.MsgIdHdr, w.id+"/"+strconv.Itoa(w.n))
	m.Data = w.chunk
	w.chunk = nil // the client keeps the chunk until it is acknowledged
	w.n++
	f, err := w.bus.js.PublishMsgAsync(m)
	if err != nil {
		return w.bus.publish(ctx, m) // it waits for the connection
	}
	w.flight = append(w.flight, f)
	return nil
}

// await waits for the oldest chunk in flight, publishing it again where that may help.
func (w *chunkWriter) await(ctx context.Context) error {
	f := w.flight[0]
	w.flight = w.flight[1:]
	select {
	case <-f.Ok():
		return nil
	case err := <-f.Err():
		if kindOf(err) != mail.Temporary {
			return classify(ctx, "publish a chunk", err)
		}
		return w.bus.publish(ctx, f.Msg())
	case <-ctx.Done():
		return classify(ctx, "publish a chunk", ctx.Err())
	}
}

// finish publishes the rest and waits for all chunks; it returns their number.
func (w *chunkWriter) finish(ctx context.Context) (int, error) {
	if len(w.chunk) > 0 {
		if err := w.flush(ctx); err != nil {
			return 0, err
		}
	}
	for len(w.flight) > 0 {
		if err := w.await(ctx); err != nil {
			return 0, err
		}
	}
	return w.n, nil
}

// settle waits until no chunk is in flight, whatever became of them.
func (w *chunkWriter) settle(ctx context.Context) {
	for ; len(w.flight) > 0; w.flight = w.flight[1:] {
		select {
		case <-w.flight[0].Ok():
		case <-w.flight[0].Err():
		case <-ctx.Done():
			return
		}
	}
}

// purge removes the chunks of a transfer. Those that it cannot remove expire.
func (b *Bus) purge(ctx context.Context, transfer string) {
	s, err := b.js.Stream(ctx, streamBig)
	if err == nil {
		err = s.Purge(ctx, jetstream.WithPurgeSubject(chunkFilter(transfer)))
	}
	if err != nil {
		b.log.WarnContext(ctx, "chunks not removed", slog.String("transfer", transfer), slog.Any("error", err))
	}
}

// A chunkReader reads the chunks of one transfer, one at a time.
type chunkReader struct {
	ctx    context.Context // of Inbound.Raw: the reader lives no longer, and io.Reader has no context
	stream jetstream.Stream
	env    envelope
	tries  int // for a chunk that is missing

	next int
	rest []byte
	err  error
}

// openChunks returns a reader of the body that e claims.
func (b *Bus) openChunks(ctx context.Context, e envelope) (io.ReadCloser, error) {
	s, err := b.js.Stream(ctx, streamBig)
	if err != nil {
		return nil, classify(ctx, "read chunks", err)
	}
	r := &chunkReader{ctx: ctx, stream: s, env: e, tries: 1}
	if b.opt.Replicas > 1 {
		// A direct read may be answered by a replica that is behind.
		r.tries = 4
	}
	return r, nil
}

// Read implements io.Reader. A chunk that is missing or has the wrong length
// is mail.Corrupt.
func (r *chunkReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 && r.err == nil {
		r.err = r.advance()
	}
	if len(r.rest) == 0 {
		return 0, r.err
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *chunkReader) advance() error {
	if r.next == r.env.chunks {
		return io.EOF
	}
	m, err := r.fetch(chunkSubject(r.env.transfer, r.next))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return mail.Errorf(mail.Corrupt, "chunk %d of %d is missing", r.next+1, r.env.chunks)
	}
	if err != nil {
		return classify(r.ctx, "read a chunk", err)
	}
	want := min(int64(chunkSize), r.env.size-int64(r.next)*chunkSize)
	if int64(len(m.Data)) != want {
		return mail.Errorf(mail.Corrupt, "chunk %d of %d has %d octets, not %d", r.next+1, r.env.chunks, len(m.Data), want)
	}
	r.rest = m.Data
	r.next++
	return nil
}

func (r *chunkReader) fetch(subject string) (m *jetstream.RawStreamMsg, err error) {
	for try := range r.tries {
		m, err = r.stream.GetLastMsgForSubject(r.ctx, subject)
		if !errors.Is(err, jetstream.ErrMsgNotFound) || try == r.tries-1 {
			break
		}
		if err := sleep(r.ctx, 100*time.Millisecond<<try); err != nil {
			return nil, err
		}
	}
	return m, err
}

// Close implements io.Closer.
func (r *chunkReader) Close() error {
	r.rest, r.err = nil, mail.Errorf(mail.Invalid, "read of a closed message")
	return nil
}
