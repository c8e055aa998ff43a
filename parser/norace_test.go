//go:build !race

package parser_test

// slowdown is 1 where nothing slows the code down; see race_test.go.
const slowdown = 1

// raceEnabled: the race detector watches.
const raceEnabled = false
