//go:build !linux

package worker

import (
	"os"
	"syscall"
	"time"
)

func program() (string, error) { return os.Executable() }

// attributes has nothing that all systems share.
func attributes(bool) *syscall.SysProcAttr { return nil }

// killGroup has no groups here.
func killGroup(int) {}

// cpu is not known here; wall time bounds a document.
func (w *process) cpu() time.Duration { return 0 }
