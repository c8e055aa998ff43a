package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/nats-io/nats-server/v2/server"
)

const (
	maxPayload   = 8 << 20
	readyWait    = 30 * time.Second
	healthPeriod = 2 * time.Second
	restartPause = 5 * time.Second // between attempts to start a broken server
)

// An embedded is a NATS server in this process that listens on no socket. It
// holds the lock of the store directory, which the server itself does not
// have: two servers on one directory both start and lose what the other
// wrote.
type embedded struct {
	opt  Options
	log  *slog.Logger
	lock *os.File

	// mu guards the current server and what supervision found last.
	mu    sync.Mutex
	ns    *server.Server // nil between a stop and the next start
	fault error
}

func startEmbedded(o Options, log *slog.Logger) (*embedded, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the store directory: %w", err)
	}
	lock, err := lockDir(o.Dir)
	if err != nil {
		return nil, err
	}
	e := &embedded{opt: o, log: log, lock: lock}
	if err := checkManifest(o.Dir, log); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	if err := e.launch(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return e, nil
}

// lockDir takes the lock that keeps a second process away from dir. The kernel
// releases it when the process dies.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the store: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = mail.Errorf(mail.InUse, "the store directory %s is used by another process", dir)
		return nil, mail.WithHint(err, "stop the other mailkeep, or give this one a directory of its own")
	}
	return nil, fmt.Errorf("lock the store: %w", err)
}

// launch starts a server on the store and waits until it stores.
func (e *embedded) launch() error {
	if err := setAside(e.opt.Dir, e.log); err != nil {
		return err
	}
	ns, err := server.NewServer(&server.Options{
		ServerName: "mailkeep", DontListen: true, NoSigs: true, NoLog: true, MaxPayload: maxPayload,
		JetStream: true, StoreDir: e.opt.Dir, SyncInterval: 10 * time.Second,
		JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: e.opt.MaxStore,
	})
	if err != nil {
		return fmt.Errorf("configure the embedded NATS server: %w", err)
	}
	ns.SetLoggerV2(serverLog{e.log}, false, false, false)
	ns.Start()
	if err := ready(ns); err != nil {
		ns.Shutdown()
		ns.WaitForShutdown()
		return err
	}
	e.mu.Lock()
	e.ns, e.fault = ns, nil
	e.mu.Unlock()
	return nil
}

func ready(ns *server.Server) error {
	if !ns.ReadyForConnections(readyWait) {
		return mail.Errorf(mail.Temporary, "the embedded NATS server did not start within %s", readyWait)
	}
	if !ns.JetStreamEnabled() {
		return mail.WithHint(mail.Errorf(mail.Temporary, "the embedded NATS server cannot use its store"),
			"see the log; the store directory may be removed, all mail that is not sealed is still on its server")
	}
	return sick(ns)
}

// sick returns why a server is not healthy; nil if it is.
func sick(ns *server.Server) error {
	if ns == nil {
		return mail.Errorf(mail.Temporary, "the embedded NATS server does not run")
	}
	h := ns.Healthz(&server.HealthzOptions{})
	if h.Status == "ok" {
		return nil
	}
	return mail.WithHint(mail.Errorf(mail.Temporary, "the embedded NATS server is not healthy: %s", h.Error),
		"check that the disk of the store has free space")
}

// InProcessConn connects to the server that runs now; it makes a client
// find the next one when it reconnects.
func (e *embedded) InProcessConn() (net.Conn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ns == nil {
		return nil, errors.New("the embedded NATS server is being restarted")
	}
	return e.ns.InProcessConn()
}

func (e *embedded) healthy() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.fault
}

// supervise restarts the server when it reports a failure twice in a row.
// After a write error the server refuses to store for ever, even when there is
// space again; only a restart clears it, and keeps all that was acknowledged.
func (e *embedded) supervise(ctx context.Context) {
	tick := time.NewTicker(healthPeriod)
	defer tick.Stop()
	failed := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if ctx.Err() != nil {
			return // a restart that was given up leaves no server to be asked
		}
		err := e.check()
		if err != nil && failed {
			e.restart(ctx, err)
			err = nil
		}
		failed = err != nil
	}
}

func (e *embedded) check() error {
	err := sick(e.current())
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fault = err
	return err
}

func (e *embedded) current() *server.Server {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ns
}

// restart stops the server and tries to start one until it works or ctx ends.
func (e *embedded) restart(ctx context.Context, why error) {
	e.log.ErrorContext(ctx, "embedded NATS server restarts", slog.Any("error", why))
	e.shutdown()
	for {
		err := e.launch()
		if err == nil {
			e.log.InfoContext(ctx, "embedded NATS server restarted")
			return
		}
		e.mu.Lock()
		e.fault = err
		e.mu.Unlock()
		e.log.ErrorContext(ctx, "embedded NATS server does not start", slog.Any("error", err))
		select {
		case <-ctx.Done():
			return
		case <-time.After(restartPause):
		}
	}
}

func (e *embedded) shutdown() {
	e.mu.Lock()
	ns := e.ns
	e.ns = nil
	e.mu.Unlock()
	if ns != nil {
		ns.Shutdown()
		ns.WaitForShutdown()
	}
}

// stop ends the server and unlocks the directory. The lock file stays: a
// process that removed it could remove the lock of the next one.
func (e *embedded) stop() error {
	e.shutdown()
	if err := e.lock.Close(); err != nil {
		return fmt.Errorf("unlock the store: %w", err)
	}
	return nil
}

// A serverLog hands the server's notices to slog. The text is the server's
// own; it names streams and files and never holds payloads.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Noticef(format string, v ...any) { l.say(slog.LevelDebug, format, v) }
func (l serverLog) Warnf(format string, v ...any)   { l.say(slog.LevelWarn, format, v) }
func (l serverLog) Fatalf(format string, v ...any)  { l.say(slog.LevelError, format, v) }
func (l serverLog) Errorf(format string, v ...any)  { l.say(slog.LevelError, format, v) }
func (l serverLog) Debugf(format string, v ...any)  {}
func (l serverLog) Tracef(format string, v ...any)  {}

func (l serverLog) say(level slog.Level, format string, v []any) {
	l.log.Log(context.Background(), level, "NATS server", slog.String("notice", fmt.Sprintf(format, v...)))
}
