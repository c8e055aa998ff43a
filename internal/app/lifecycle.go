package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// A lifecycle is the stack of what must be undone: steps are pushed in the
// order of construction and run last in, first out, once, whether the process
// ends or its construction fails half way.
type lifecycle struct {
	log *slog.Logger

	mu    sync.Mutex
	steps []step

	fatal     chan struct{} // closed by the first worker that fails
	fatalOnce sync.Once
	fatalErr  error // written before fatal is closed
}

type step struct {
	name string
	stop func(context.Context) error
}

func newLifecycle(log *slog.Logger) *lifecycle {
	return &lifecycle{log: log, fatal: make(chan struct{})}
}

// onStop pushes a step.
func (l *lifecycle) onStop(name string, stop func(context.Context) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.steps = append(l.steps, step{name, stop})
}

// work runs f in a goroutine until its step comes: then f's context is
// cancelled and its end awaited. An f that ends before that, or that panics,
// is fatal to the process.
func (l *lifecycle) work(ctx context.Context, name string, f func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() {
		err := guarded(ctx, name, f)
		if ctx.Err() == nil {
			if err == nil {
				err = fmt.Errorf("%s ended by itself", name)
			}
			l.fail(err)
		}
		done <- err
	}()
	l.onStop(name, func(stopCtx context.Context) error {
		cancel()
		select {
		case err := <-done:
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		case <-stopCtx.Done():
			return fmt.Errorf("%s did not end in time", name)
		}
	})
}

func guarded(ctx context.Context, name string, f func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: internal error: %v", name, p)
		}
	}()
	return f(ctx)
}

func (l *lifecycle) fail(err error) {
	l.fatalOnce.Do(func() {
		l.fatalErr = err
		close(l.fatal)
	})
}

// stop runs the steps. Each logs how long it took; errors are joined.
func (l *lifecycle) stop(ctx context.Context) error {
	var errs []error
	for {
		l.mu.Lock()
		if len(l.steps) == 0 {
			l.mu.Unlock()
			return errors.Join(errs...)
		}
		s := l.steps[len(l.steps)-1]
		l.steps = l.steps[:len(l.steps)-1]
		l.mu.Unlock()
		began := time.Now()
		if err := s.stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", s.name, err))
		}
		l.log.DebugContext(ctx, "stopped", slog.String("part", s.name), slog.Duration("took", time.Since(began)))
	}
}
