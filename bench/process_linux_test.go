package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// ticks reads the user and system time of a process from /proc/PID/stat, in
// hundredths of a second.
func ticks(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var sum int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}

// TestCPUTimeIsThatOfStat burns CPU and compares the kernel's two accounts.
func TestCPUTimeIsThatOfStat(t *testing.T) {
	pid := os.Getpid()
	before, err := cpuTime(pid)
	if err != nil {
		t.Fatal(err)
	}
	ticksBefore, n := ticks(t, pid), 0
	for ticks(t, pid)-ticksBefore < 30 {
		n++
	}
	after, err := cpuTime(pid)
	if err != nil {
		t.Fatal(err)
	}
	if got := after - before; got < 270*time.Millisecond || got > time.Second {
		t.Errorf("30 hundredths of a second by stat are %v by the process's clock", got)
	}
}

func TestCPUTimeOfNobody(t *testing.T) {
	t.Parallel()
	if got, err := cpuTime(1 << 28); err == nil {
		t.Errorf("a process that cannot be used %v", got)
	}
}

func TestMemoryOfSelf(t *testing.T) {
	t.Parallel()
	pid := os.Getpid()
	if err := resetPeak(pid); err != nil {
		t.Fatal(err)
	}
	m, err := memoryOf(pid)
	if err != nil || m.now <= 0 || m.peak < m.now || m.anonymous > m.now {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := memoryOf(1 << 28); err == nil {
		t.Error("a process that cannot be has memory")
	}
}
