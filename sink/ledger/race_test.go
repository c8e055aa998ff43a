//go:build race

package ledger_test

// underRace says that the tests run under the race detector, ten to fifty times
// slower. The tests that do one thing at every operation, or to every octet, do it
// at a sample of them there: all of them are tried without the detector, and what
// it looks for is in how goroutines share memory, which is the same at each.
const underRace = true
