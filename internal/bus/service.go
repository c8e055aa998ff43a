package bus

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

const (
	serviceVersion = "1.0.0"
	serviceWorkers = 8
	requestWait    = 30 * time.Second
)

// A service answers the requests of one subject with at most serviceWorkers
// goroutines.
type service struct {
	bus    *Bus
	handle func(ctx context.Context, body []byte) ([]byte, error)
	micro  micro.Service
	slots  chan struct{}

	// mu orders the start of workers before the wait for them.
	mu      sync.Mutex
	stopped bool
	wg      sync.WaitGroup
}

// serve starts a service of a partition. ctx is the parent of the contexts of
// its requests. stop ends it and waits for the requests in hand.
func (b *Bus) serve(ctx context.Context, name string, p uint16, handle func(context.Context, []byte) ([]byte, error)) (stop func(), err error) {
	ctx, cancel := b.bind(ctx)
	s := &service{bus: b, handle: handle, slots: make(chan struct{}, serviceWorkers)}
	s.micro, err = micro.AddService(b.nc, micro.Config{
		Name: "mailkeep-" + name, Version: serviceVersion,
		Description: "the archive's " + name + " service",
		Metadata:    map[string]string{"partition": strconv.Itoa(int(p))},
		Endpoint: &micro.EndpointConfig{Subject: serviceSubject(name, p), Handler: micro.HandlerFunc(func(r micro.Request) {
			s.receive(ctx, r)
		})},
	})
	if err == nil {
		err = b.nc.FlushTimeout(requestWait) // from now on it can be asked
	}
	stop = sync.OnceFunc(func() { s.stop(cancel) })
	if err != nil {
		stop()
		return nil, classify(ctx, "start service "+name, err)
	}
	return stop, nil
}

func (s *service) stop(cancel context.CancelFunc) {
	if s.micro != nil {
		if err := s.micro.Stop(); err != nil && s.bus.life.Err() == nil {
			s.bus.log.Warn("service not stopped in order", slog.Any("error", err))
		}
	}
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	cancel()
	s.wg.Wait()
}

func (s *service) receive(ctx context.Context, r micro.Request) {
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		<-s.slots
		return
	}
	s.wg.Go(func() {
		defer func() { <-s.slots }()
		s.answer(ctx, r)
	})
}

func (s *service) answer(ctx context.Context, r micro.Request) {
	ctx, cancel := context.WithTimeout(ctx, requestWait)
	defer cancel()
	body, err := s.handle(ctx, r.Data())
	if err == nil && int64(len(body)) > s.bus.nc.MaxPayload()-headroom {
		err = errAnswerTooLarge
	}
	if err != nil {
		s.refuse(ctx, r, err)
		return
	}
	s.send(ctx, &nats.Msg{Subject: r.Reply(), Data: body})
}

// errAnswerTooLarge tells the asker to ask for less at a time.
var errAnswerTooLarge = mail.Errorf(mail.Invalid, "the answer exceeds the payload")

const codeTooLarge = "413"

func (s *service) refuse(ctx context.Context, r micro.Request, err error) {
	code := "500"
	if errors.Is(err, errAnswerTooLarge) {
		code = codeTooLarge
	}
	text, jerr := json.Marshal(faultOf(err))
	if jerr != nil {
		text = nil
	}
	s.send(ctx, &nats.Msg{Subject: r.Reply(), Data: text, Header: nats.Header{
		micro.ErrorHeader: {mail.KindOf(err).String()}, micro.ErrorCodeHeader: {code},
	}})
}

// send sends an answer. The methods of micro.Request do not: they write to the
// request, which its service reads as soon as receive has returned.
func (s *service) send(ctx context.Context, m *nats.Msg) {
	if err := s.bus.nc.PublishMsg(m); err != nil {
		s.bus.log.WarnContext(ctx, "answer not sent", slog.Any("error", err))
	}
}

// request asks the service of a partition. That nobody serves, or answers in
// time, is mail.Temporary; an error of the service keeps its Kind.
func (b *Bus) request(ctx context.Context, name string, p uint16, body []byte) ([]byte, error) {
	ctx, cancel := b.bind(ctx)
	defer cancel()
	try, cancelTry := context.WithTimeout(ctx, requestWait)
	defer cancelTry()
	m, err := b.nc.RequestWithContext(try, serviceSubject(name, p), body)
	if errors.Is(err, nats.ErrNoResponders) {
		role := "archive"
		if name == serviceSearch {
			role = "index"
		}
		err = mail.Errorf(mail.Temporary, "no process serves partition %d (%s)", p, name)
		return nil, mail.WithHint(err, "start a process with the %s role", role)
	}
	if err != nil {
		return nil, classify(ctx, "ask for "+name, err)
	}
	switch code := m.Header.Get(micro.ErrorCodeHeader); code {
	case "":
		return m.Data, nil
	case codeTooLarge:
		return nil, errAnswerTooLarge
	}
	var f fault
	if err := json.Unmarshal(m.Data, &f); err != nil {
		f = fault{Kind: m.Header.Get(micro.ErrorHeader), Text: "the service failed without saying why"}
	}
	return nil, f.err()
}
