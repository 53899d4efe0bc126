package main

import (
	"fmt"
	"strconv"
	"strings"
)

// memory is a process's resident memory in bytes.
type memory struct {
	// peak is the most there was since it was reset, now what there is. Pages
	// of mapped files count.
	peak, now int64
	// anonymous is what of now is the process's own, not a mapped file's.
	anonymous int64
}

// parseMemory reads the text of /proc/PID/status, whose kB are 1024 bytes.
func parseMemory(status string) (memory, error) {
	var m memory
	fields := map[string]*int64{"VmHWM": &m.peak, "VmRSS": &m.now, "RssAnon": &m.anonymous}
	for line := range strings.Lines(status) {
		name, value, _ := strings.Cut(line, ":")
		dst, ok := fields[name]
		if !ok {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
		if err != nil {
			return memory{}, fmt.Errorf("%s of a process: %w", name, err)
		}
		*dst = kib << 10
		delete(fields, name)
	}
	for name := range fields {
		return memory{}, fmt.Errorf("a process's status has no %s: did it end?", name)
	}
	return m, nil
}
