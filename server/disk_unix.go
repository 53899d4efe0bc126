//go:build linux || darwin || freebsd

package main

import (
	"path/filepath"

	"golang.org/x/sys/unix"
)

// fileSystemSize returns the bytes of the file system that dir is or will be
// on, or 0 if that cannot be told.
func fileSystemSize(dir string) int64 {
	for {
		var st unix.Statfs_t
		if err := unix.Statfs(dir, &st); err == nil {
			return int64(st.Blocks) * int64(st.Bsize) //nolint:unconvert // of other types on other systems
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return 0
		}
		dir = parent
	}
}
