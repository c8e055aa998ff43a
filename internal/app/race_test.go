//go:build race

package app

// underRace says that the race detector is on: the tests that kill processes take
// one point of each row then, as it sees the same code at all of them.
const underRace = true
