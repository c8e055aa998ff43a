//go:build !linux

package durable

import "os"

// datasync is os.File.Sync, which on Darwin is F_FULLFSYNC: fdatasync there
// does not reach the medium.
func datasync(f *os.File) error { return f.Sync() }
