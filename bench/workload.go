package main

import (
	"context"
	"fmt"
	"path"
	"strings"
)

// operations is what one workload does. One value serves all servers of a
// comparison; only do is called concurrently.
type operations interface {
	// setup brings a server to where the operations can begin.
	setup(ctx context.Context, c *caller) error
	// prepare makes what the operations from first on, n of them, will send,
	// so that making it disturbs no measurement. It drops what it made before.
	prepare(first, n int)
	// do performs operation i and returns how many bytes of content were
	// moved. Any answer that is not the right one is an error.
	do(ctx context.Context, c *caller, i int) (int64, error)
}

// need is what a server must have for a workload.
type need int

const (
	needNothing need = iota
	needHTTP
	needZstd
)

// workload is one row of the report.
type workload struct {
	name, about string
	need        need
	// large says that an operation moves so much that few at a time fill the
	// machine: a quarter of the callers then do.
	large bool
	// space keeps the blobs of workloads apart.
	space uint64
	make  func(c *contents, space uint64) operations
}

// callers returns how many callers of n the workload uses.
func (w workload) callers(n int) int {
	if w.large {
		return max(1, n/4)
	}
	return n
}

// lacks says why the server cannot do the workload, or "".
func (w workload) lacks(t *target) string {
	switch {
	case w.need == needHTTP && t.httpURL == "":
		return "no HTTP address"
	case w.need == needZstd && !t.zstd:
		return "offers no zstd"
	}
	return ""
}

const (
	kib = 1 << 10
	mib = 1 << 20
)

// workloads returns all there are, in the order of the report.
func workloads() []workload {
	all := []workload{
		{name: "write-1k", about: "ByteStream Write of 1 KiB", make: newStreamWrite(1 * kib)},
		{name: "write-16k", about: "ByteStream Write of 16 KiB", make: newStreamWrite(16 * kib)},
		{name: "write-32m", about: "ByteStream Write of 32 MiB", large: true, make: newStreamWrite(32 * mib)},
		{name: "read-1k", about: "ByteStream Read of 1 KiB", make: newStreamRead(1*kib, 4096)},
		{name: "read-16k", about: "ByteStream Read of 16 KiB", make: newStreamRead(16*kib, 1024)},
		{name: "read-32m", about: "ByteStream Read of 32 MiB", large: true, make: newStreamRead(32*mib, 4)},
		{name: "batch-update", about: "BatchUpdateBlobs of 100 x 1 KiB", make: newBatchUpdate},
		{name: "batch-read", about: "BatchReadBlobs of 100 x 1 KiB", make: newBatchRead},
		{name: "find-missing", about: "FindMissingBlobs of 1,000, half missing", make: newFindMissing},
		{name: "action-update", about: "UpdateActionResult with 10 outputs", make: newActionUpdate},
		{name: "action-hit", about: "GetActionResult with 10 outputs", make: newActionHit},
		{name: "action-miss", about: "GetActionResult of an unknown action", make: newActionMiss},
		{name: "http-get-1k", about: "HTTP GET of 1 KiB", need: needHTTP, make: newHTTPGet(1*kib, 4096)},
		{name: "http-get-32m", about: "HTTP GET of 32 MiB", need: needHTTP, large: true, make: newHTTPGet(32*mib, 4)},
		{name: "zstd-write-16k", about: "ByteStream Write of 16 KiB in zstd", need: needZstd, make: newZstdWrite(16 * kib)},
		{name: "zstd-write-32m", about: "ByteStream Write of 32 MiB in zstd", need: needZstd, large: true, make: newZstdWrite(32 * mib)},
		{name: "zstd-read-16k", about: "ByteStream Read of 16 KiB in zstd", need: needZstd, make: newZstdRead(16*kib, 1024)},
		{name: "zstd-read-32m", about: "ByteStream Read of 32 MiB in zstd", need: needZstd, large: true, make: newZstdRead(32*mib, 4)},
		{name: "replay-cold", about: "one action of a build that misses and uploads", make: newReplayCold},
		{name: "replay-warm", about: "one action of a build that hits and downloads", make: newReplayWarm},
	}
	for i := range all {
		all[i].space = uint64(i+1) << 40
	}
	return all
}

// setupSpace parts the blobs of a workload's set-up from those of its
// operations.
const setupSpace = 1 << 39

// chosen reports whether a name matches one of the patterns; all do if there
// are none.
func chosen(patterns []string, name string) bool {
	for _, p := range patterns {
		if ok, _ := path.Match(p, name); ok {
			return true
		}
	}
	return len(patterns) == 0
}

// checkPatterns refuses a pattern that no name matches.
func checkPatterns(patterns, names []string) error {
	for _, p := range patterns {
		found := false
		for _, name := range names {
			found = found || chosen([]string{p}, name)
		}
		if !found {
			return fmt.Errorf("--workloads: %q matches none of %s", p, strings.Join(names, ", "))
		}
	}
	return nil
}
