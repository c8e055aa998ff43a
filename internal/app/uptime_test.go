package app

import (
	"os"
	"testing"
)

func TestMachineClock(t *testing.T) {
	read := machineClock()
	if read == nil {
		if _, err := os.Stat("/proc/uptime"); err == nil || os.Getenv("CI") != "" {
			t.Fatalf("no clock of the machine: %v", err)
		}
		t.Skip("this kernel has no /proc/uptime")
	}
	boot, up := read()
	again, later := read()
	if boot == "" || boot != again || later < up {
		t.Errorf("%q %s, then %q %s", boot, up, again, later)
	}
}
