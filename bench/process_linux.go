package main

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime returns the CPU time, user and system, that the process has used in
// all its threads, those that have ended included. The kernel's clock of the
// process has nanoseconds, where /proc/PID/stat has hundredths of a second.
func cpuTime(pid int) (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(cpuClock(pid), &ts); err != nil {
		return 0, fmt.Errorf("CPU time of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// cpuClock is the id of a process's CPU clock: the complement of the pid above
// three bits that choose the precise clock (2) of the whole process, as
// clock_getcpuclockid(3) builds it.
func cpuClock(pid int) int32 {
	return int32(^pid<<3 | 2)
}

// resetPeak makes the peak of the process's resident memory what it has now.
func resetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

// memoryOf reads what the process holds in memory.
func memoryOf(pid int) (memory, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return memory{}, err
	}
	return parseMemory(string(text))
}
