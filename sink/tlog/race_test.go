//go:build race

package tlog_test

// underRace says that the race detector slows everything down: sweeps take larger
// steps then, and bounds of time are wider.
const underRace = true
