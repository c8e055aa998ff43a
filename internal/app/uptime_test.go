package app

import "testing"

func TestMachineClock(t *testing.T) {
	read := machineClock()
	if read == nil {
		t.Fatal("no clock of the machine: /proc/uptime cannot be read")
	}
	boot, up := read()
	again, later := read()
	if boot == "" || boot != again || later < up {
		t.Errorf("%q %s, then %q %s", boot, up, again, later)
	}
}
