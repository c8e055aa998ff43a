// Package durable is the only one that syncs, links and renames files. What
// must survive a power cut goes through its FS, so that the order of those
// calls can be read in one place and tested on a file system that crashes
// (package durabletest).
//
// The model is that of POSIX without kindness:
//
//   - Bytes written to a file survive a power cut once File.Sync has returned
//     nil. Before that any part of them may survive, in any order.
//   - A name (made, linked, renamed or removed) survives once SyncDir of its
//     directory has returned nil. Before that either state may survive.
//   - After File.Sync has failed once, what the page cache shows of that file
//     proves nothing: the kernel may have dropped the dirty mark of pages that
//     never reached the disk. A caller copies what it knows to be synced into
//     a fresh file and never syncs the failed one again.
//
// Write-once means Link: it never replaces. Rename replaces and is for files
// that are rewritten as a whole (WriteFile).
//
// All names are slash-separated and relative to the root of the FS; a name
// that leads out of it is refused by os.Root. Errors of the operating system
// are returned as they are (fs.ErrNotExist and the like hold), except that
// Lock returns a mail.InUse error when another holds the lock.
package durable
