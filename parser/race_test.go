//go:build race

package parser_test

// slowdown is how much longer everything may take under the race detector, on
// a machine that has other work.
const slowdown = 6

// raceEnabled: the race detector watches.
const raceEnabled = true
