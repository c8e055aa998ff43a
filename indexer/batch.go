package indexer

// batchBytes returns how much text a batch is to hold where the process may use
// limit octets of memory (GOMEMLIMIT).
//
// Documents take about three times their texts, the segment of a batch and what it
// is made with as much, and two batches are in flight; the garbage of that takes
// the same again. An index takes a third of the limit so, or less.
func batchBytes(limit int64) int {
	const most, least, share = 8 << 20, 256 << 10, 40
	return int(min(most, max(least, limit/share)))
}
