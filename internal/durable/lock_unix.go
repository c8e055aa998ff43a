//go:build unix

package durable

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func flock(f *os.File, name string) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var locked error
	if err := conn.Control(func(fd uintptr) {
		locked = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB)
	}); err != nil {
		return err
	}
	if errors.Is(locked, unix.EWOULDBLOCK) {
		return InUse(name)
	}
	if locked != nil {
		return &os.PathError{Op: "flock", Path: name, Err: locked}
	}
	return nil
}
