package durable

import (
	"os"

	"golang.org/x/sys/unix"
)

// datasync is fdatasync(2): it leaves out the time stamps, which saves a
// journal commit where the file did not grow.
func datasync(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var synced error
	err = conn.Control(func(fd uintptr) {
		for {
			if synced = unix.Fdatasync(int(fd)); synced != unix.EINTR {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	if synced != nil {
		return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: synced}
	}
	return nil
}
