package worker

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// program returns what to execute: the program that runs, also where an upgrade
// has put another one in its place.
func program() (string, error) { return self, nil }

// attributes start a process that ends with this one, and that signals of the
// terminal do not reach: whoever interrupts the pool's owner is for it to heed.
func attributes(isolated bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if isolated {
		a.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS
	}
	return a
}

// killGroup ends the group of processes that a process of attributes leads.
func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }

// cpu returns the CPU time of the process, from its clock (clock_getcpuclockid);
// 0 if it has ended.
func (w *process) cpu() time.Duration {
	const schedule = 2 // CPUCLOCK_SCHED, of the whole process
	select {
	case <-w.exited: // its number may be that of another one by now
		return 0
	default:
	}
	var t unix.Timespec
	if unix.ClockGettime(int32(^w.cmd.Process.Pid)<<3|schedule, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
