//go:build race

package indexer

// underRace says that the tests run under the race detector, ten times slower.
// Those that compare many answers, or many deaths, then take a sample: all of them
// are tried without the detector, and what it looks for is the same in each.
const underRace = true
