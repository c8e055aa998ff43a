//go:build !unix

package durable

import (
	"errors"
	"os"
)

// flock refuses: without a lock that dies with its process, one writer at a
// time cannot be promised.
func flock(_ *os.File, _ string) error { return errors.ErrUnsupported }
