package indexer

// batchBytes returns how much text a batch is to hold where the process may use
// limit octets of memory (GOMEMLIMIT).
//
// While they are being made into a segment, texts take about 100 times their
// size, and two batches are in flight. An index may take up most of the limit so;
// the rest of the program takes some 60 MB.
func batchBytes(limit int64) int {
	const most, least, share = 4 << 20, 256 << 10, 256
	return int(min(most, max(least, limit/share)))
}
