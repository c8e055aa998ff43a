package app

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestStopRunsLastInFirstOutOnce(t *testing.T) {
	l := newLifecycle(slog.New(slog.DiscardHandler))
	var order strings.Builder
	for _, name := range []string{"a", "b", "c"} {
		l.onStop(name, func(context.Context) error {
			order.WriteString(name)
			if name == "b" {
				return errors.New("b is stuck")
			}
			return nil
		})
	}
	if err := l.stop(t.Context()); err == nil || err.Error() != "stop b: b is stuck" {
		t.Errorf("error: %v", err)
	}
	if err := l.stop(t.Context()); err != nil || order.String() != "cba" {
		t.Errorf("second stop: %v, order %s", err, order.String())
	}
}

func TestWorkersEndInTurn(t *testing.T) {
	l := newLifecycle(slog.New(slog.DiscardHandler))
	var order strings.Builder
	for _, name := range []string{"sink", "poller"} {
		l.work(t.Context(), name, func(ctx context.Context) error {
			<-ctx.Done()
			order.WriteString(name + " ")
			return ctx.Err()
		})
	}
	if err := l.stop(t.Context()); err != nil || order.String() != "poller sink " {
		t.Errorf("%v, %s", err, order.String())
	}
}

func TestWorkerThatFailsIsFatal(t *testing.T) {
	for name, f := range map[string]func(context.Context) error{
		"error":  func(context.Context) error { return errors.New("boom") },
		"return": func(context.Context) error { return nil },
		"panic":  func(context.Context) error { panic("boom") },
	} {
		l := newLifecycle(slog.New(slog.DiscardHandler))
		l.work(t.Context(), "w", f)
		<-l.fatal
		if l.fatalErr == nil {
			t.Errorf("%s: no error", name)
		}
		l.stop(t.Context())
	}
}

func TestStopIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLifecycle(slog.New(slog.DiscardHandler))
		release := make(chan struct{})
		l.work(t.Context(), "w", func(context.Context) error { <-release; return nil })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.stop(ctx); err == nil || !strings.Contains(err.Error(), "did not end in time") {
			t.Errorf("%v", err)
		}
		close(release)
	})
}
