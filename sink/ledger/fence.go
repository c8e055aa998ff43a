package ledger

// A Fence is the right to append to a ledger that several processes could write,
// as a lease of their common message bus gives it. Its methods may be called by
// many goroutines at once, and do not block.
type Fence interface {
	// Epoch is greater than that of every lease before. It is written into each
	// segment. It is at least 1.
	Epoch() uint64
	// Held returns nil while the lease is held, or why it is not.
	Held() error
}
