package app

import (
	"os"
	"testing"
)

func TestMachineClock(t *testing.T) {
	read := machineClock()
	if read == nil {
		if _, err := os.Stat("/proc/uptime"); err == nil {
			t.Fatal("no clock although the kernel has one")
		}
		t.Skip("this kernel has no /proc/uptime")
	}
	boot, up := read()
	again, later := read()
	if boot == "" || boot != again || later < up {
		t.Errorf("%q %s, then %q %s", boot, up, again, later)
	}
}
