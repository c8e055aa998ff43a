package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// A Server is one listener and its requests in flight.
type Server struct {
	http *http.Server
	addr net.Addr
	done chan error
}

// Serve answers on l until Stop. Requests get contexts derived from ctx.
func Serve(ctx context.Context, l net.Listener, h http.Handler) *Server {
	s := &Server{
		http: &http.Server{
			Handler:           h,
			ReadHeaderTimeout: 10 * time.Second,
			IdleTimeout:       time.Minute,
			MaxHeaderBytes:    64 << 10,
			BaseContext:       func(net.Listener) context.Context { return ctx },
		},
		addr: l.Addr(),
		done: make(chan error, 1),
	}
	go func() { s.done <- s.http.Serve(l) }()
	return s
}

// Addr returns the listener's address.
func (s *Server) Addr() net.Addr { return s.addr }

// Stop ends the server: requests in flight may finish until ctx is done.
func (s *Server) Stop(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	if e := <-s.done; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}

// SocketPath returns where the process with the role serves its control routes.
func SocketPath(archive, role string) string {
	return filepath.Join(archive, "run", role+".sock")
}

// ListenSocket makes a Unix-domain socket at path with mode 0600. A socket
// that nobody answers any more is replaced; the caller holds the lock of the
// role, so a living peer there is an error of kind InUse.
func ListenSocket(ctx context.Context, path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the control socket's directory: %w", err)
	}
	if c, err := DialSocket(ctx, path); err == nil {
		c.Close() //nolint:errcheck // it was only a question
		return nil, mail.Errorf(mail.InUse, "another process answers on %s", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove the stale control socket: %w", err)
	}
	name, done, err := shortName(path)
	if err != nil {
		return nil, err
	}
	defer done()
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", name)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	// The listener would unlink the name it was bound by, which is not the
	// path when it had to be shortened; a stale socket is replaced at start.
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("protect %s: %w", path, err), l.Close())
	}
	return l, nil
}

// DialSocket connects to the socket at path.
func DialSocket(ctx context.Context, path string) (net.Conn, error) {
	name, done, err := shortName(path)
	if err != nil {
		return nil, err
	}
	defer done()
	return (&net.Dialer{}).DialContext(ctx, "unix", name)
}

// maxSocketName is the longest name that sun_path of struct sockaddr_un holds
// on all systems (104 octets on some, 108 on Linux), less the final NUL.
const maxSocketName = 103

// shortName returns a name for path that fits a socket address: path itself,
// or its file below the open directory's entry in /proc/self/fd.
func shortName(path string) (name string, done func(), err error) {
	if len(path) <= maxSocketName {
		return path, func() {}, nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, fmt.Errorf("open the control socket's directory: %w", err)
	}
	name = fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path))
	return name, func() { dir.Close() }, nil //nolint:errcheck // opened for its descriptor only
}
