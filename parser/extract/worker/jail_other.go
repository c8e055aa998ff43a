//go:build !linux

package worker

import (
	"context"
	"errors"
	"os"
	"os/exec"
)

// bind has nothing to bind a process with on this system.
func (t task) bind(_ string, read readFunc) error {
	for _, name := range []string{GuardMemory, GuardCPU, GuardFiles, GuardPrivileges, GuardLandlock} {
		t.Bound = append(t.Bound, Guard{Name: name, Missing: notLinux})
	}
	return t.serve(context.Background(), read)
}

const notLinux = "it is a means of Linux"

func closeJail() []Guard { return []Guard{{Name: GuardSeccomp, Missing: notLinux}} }

func peakMemory() int64 { return 0 }

// become runs the program for OCR; it can be killed, and is otherwise not bound.
func (t task) become() error {
	cmd := exec.Command(t.Program, t.Args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = []string{"OMP_THREAD_LIMIT=1"}
	if err := cmd.Run(); err != nil {
		return errors.Join(errors.New("the program for OCR failed"), err)
	}
	return nil
}
