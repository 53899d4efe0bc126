//go:build !linux

package main

import (
	"errors"
	"time"
)

// errLinux is why nothing can be measured: the CPU time and the peak memory of
// another process are read in Linux's ways.
var errLinux = errors.New("bench measures on Linux only")

func cpuTime(int) (time.Duration, error) { return 0, errLinux }
func resetPeak(int) error                { return errLinux }
func memoryOf(int) (memory, error)       { return memory{}, errLinux }
