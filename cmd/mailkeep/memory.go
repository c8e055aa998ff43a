package main

import (
	"github.com/KimMachineGun/automemlimit/memlimit"
)

// memoryShare of a container's memory is for the Go heap. The rest is for what
// the collector does not see: stacks, and pages of mapped files.
const memoryShare = 0.8

// limitMemory makes the collector work harder as the limit of the container
// comes near, in place of the kernel's killing the process there. GOMEMLIMIT goes
// before it; where no control group has a limit, there is none.
func limitMemory() {
	// Without control groups there is nothing to be done about a limit.
	_, _ = memlimit.Set(memlimit.WithRatio(memoryShare))
}
