//go:build !linux

package parser_test

import "time"

var began = time.Now()

// threadTime is what comes nearest where threads have no clock.
func threadTime() time.Duration { return time.Since(began) }
