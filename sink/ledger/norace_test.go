//go:build !race

package ledger_test

// underRace says that the tests do not run under the race detector: see its other
// value.
const underRace = false
