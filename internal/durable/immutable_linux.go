package durable

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// immutableFlag is FS_IMMUTABLE_FL of linux/fs.h.
const immutableFlag = 0x10

// SetImmutable sets or clears the flag of the file system that lets nobody change,
// rename, link or remove the file until it is cleared (FS_IOC_SETFLAGS, chattr +i),
// and reads it back. It takes the capability CAP_LINUX_IMMUTABLE: fs.ErrPermission
// without it, and errors.ErrUnsupported where the file system has no such flag.
func SetImmutable(f File, on bool) error {
	var did error
	err := control(f, func(fd int) {
		flags, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS)
		if did = err; err != nil || flags&immutableFlag != 0 == on {
			return
		}
		if did = unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, int(flags^immutableFlag)); did != nil {
			return
		}
		if flags, did = unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS); did == nil && flags&immutableFlag != 0 != on {
			did = unix.EOPNOTSUPP
		}
	})
	if err == nil {
		err = did
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOTTY), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL):
		err = errors.ErrUnsupported
	}
	return fmt.Errorf("set the immutable flag: %w", err)
}

// IsImmutable reports whether the flag is set; errors are as of SetImmutable.
func IsImmutable(f File) (bool, error) {
	var flags uint32
	var did error
	if err := control(f, func(fd int) { flags, did = unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS) }); err != nil {
		return false, err
	}
	if errors.Is(did, unix.ENOTTY) || errors.Is(did, unix.EOPNOTSUPP) {
		did = errors.ErrUnsupported
	}
	return flags&immutableFlag != 0, did
}

// control runs do on the descriptor of a file of the operating system.
func control(f File, do func(fd int)) error {
	d, ok := f.(diskFile)
	if !ok {
		return errors.ErrUnsupported
	}
	conn, err := d.SyscallConn()
	if err != nil {
		return err
	}
	return conn.Control(func(fd uintptr) { do(int(fd)) })
}
