package app

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// machineClock returns a clock that nobody sets: the time since the machine
// started, and the id of that start (proc(5)). It tells the sessions of one-shot
// processes that time has passed between them. Nil where the kernel has none.
func machineClock() func() (boot string, up time.Duration) {
	if _, up := sinceBoot(); up == 0 {
		return nil
	}
	return sinceBoot
}

func sinceBoot() (boot string, up time.Duration) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", 0
	}
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return "", 0
	}
	first, _, _ := strings.Cut(string(text), " ")
	seconds, err := strconv.ParseFloat(first, 64)
	if err != nil || seconds <= 0 {
		return "", 0
	}
	return strings.TrimSpace(string(id)), time.Duration(seconds * float64(time.Second))
}
