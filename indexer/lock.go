package indexer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

const (
	lockFile = "lock"
	// lockWait covers the moment in which a process that was told to stop
	// still holds the index.
	lockWait = 5 * time.Second
	lockPoll = 50 * time.Millisecond
)

// lockDir takes the lock of an index directory. The engine's own lock does not
// cover the moments in which an index is made, checked or set aside.
func lockDir(dir string, wait time.Duration) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, classify("open the lock of the index", err)
	}
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for waited := time.Duration(0); ; waited += lockPoll {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) || waited >= wait {
			break
		}
		<-tick.C
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, inUse(dir)
	}
	return nil, fmt.Errorf("lock the index %s: %w", dir, err)
}

func inUse(dir string) error {
	return mail.WithHint(mail.Errorf(mail.InUse, "the index %s is open in another process", dir),
		"stop the mailkeep process that uses this data directory, or ask it instead")
}

// classify wraps an error of the operating system with the kind it calls for.
func classify(doing string, err error) error {
	kind := mail.KindOf(err)
	switch {
	case kind != mail.Other:
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		kind = mail.NoSpace
	case errors.Is(err, fs.ErrPermission):
		kind = mail.Denied
	}
	return mail.Errorf(kind, "%s: %w", doing, err)
}
