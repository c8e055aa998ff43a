package worker

import (
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// escapes tries what a process must not be able to do, and returns what it
// could do.
func escapes(victim string) []string {
	done := []string{}
	for _, e := range []struct {
		what string
		try  func() error
	}{
		{"read a file", func() error { _, err := os.ReadFile(victim); return err }},
		{"read a file of the system", func() error { _, err := os.ReadFile("/etc/passwd"); return err }},
		{"write a file", func() error { return os.WriteFile(victim+".new", []byte("x"), 0o600) }},
		{"remove a file", func() error { return os.Remove(victim) }},
		{"list a directory", func() error { _, err := os.ReadDir("/"); return err }},
		{"make a socket of the network", func() error { _, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0); return err }},
		{"make a socket of the machine", func() error { _, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0); return err }},
		{"run a program", func() error { return exec.Command("/bin/true").Run() }},
		{"clone a process", func() error { return raw(unix.SYS_CLONE, uintptr(unix.SIGCHLD)) }},
		{"send a signal", func() error { return raw(unix.SYS_KILL, uintptr(os.Getpid()), 0) }},
		{"send a signal to a thread of another", func() error {
			// There is none with this number: that the kernel looked for it is enough.
			if err := raw(unix.SYS_TGKILL, 1<<30, 1<<30); err != unix.ESRCH {
				return err
			}
			return nil
		}},
		{"have a file signal another", func() error { return raw(unix.SYS_FCNTL, 0, unix.F_SETOWN, 1) }},
		{"trace a process", func() error { return unix.PtraceAttach(1) }},
		{"raise a limit", func() error {
			return unix.Setrlimit(unix.RLIMIT_CPU, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY})
		}},
		{"have memory that is executable", func() error {
			_, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON)
			return err
		}},
		{"make memory executable", func() error {
			b, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
			if err != nil {
				return err
			}
			return unix.Mprotect(b, unix.PROT_READ|unix.PROT_EXEC)
		}},
	} {
		if e.try() == nil {
			done = append(done, e.what)
		}
	}
	if len(os.Environ()) > 0 {
		done = append(done, "see an environment")
	}
	return done
}

func raw(call uintptr, args ...uintptr) error {
	var a [3]uintptr
	copy(a[:], args)
	if _, _, errno := unix.RawSyscall(call, a[0], a[1], a[2]); errno != 0 {
		return errno
	}
	return nil
}
