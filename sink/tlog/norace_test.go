//go:build !race

package tlog_test

const underRace = false
