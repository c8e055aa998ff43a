//go:build !linux

package durable

import "errors"

// SetImmutable is errors.ErrUnsupported: see the version for Linux.
func SetImmutable(File, bool) error { return errors.ErrUnsupported }

// IsImmutable is errors.ErrUnsupported: see the version for Linux.
func IsImmutable(File) (bool, error) { return false, errors.ErrUnsupported }
