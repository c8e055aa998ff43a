//go:build !race

package poller

const underRace = false
