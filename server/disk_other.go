//go:build !(linux || darwin || freebsd)

package main

// fileSystemSize cannot tell on this system.
func fileSystemSize(string) int64 { return 0 }
