// Package testenv is what the end-to-end tests stand on: the larder program as
// a process that can be started, asked, stopped and killed, and the real
// clients it is tried with.
//
// A tool that is missing fails the test with the command that installs it; it
// is never a reason to skip. Tests that need this package are left out only by
// go test -short.
package testenv

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// NeedsProcesses skips a test under -short, where nothing but Go is there.
func NeedsProcesses(tb testing.TB) {
	tb.Helper()
	if testing.Short() {
		tb.Skip("-short: starts processes")
	}
}

// Root returns the folder of go.mod, in which the scripts and protos are.
func Root(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	for err == nil {
		if _, statErr := os.Stat(filepath.Join(dir, "go.mod")); statErr == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			err = errors.New("no go.mod above the working directory")
		}
		dir = filepath.Dir(dir)
	}
	tb.Fatal(err)
	return ""
}

// Environ is the environment less what is a setting of the server, so that a
// test does not depend on how its machine's server is set up.
func Environ() []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "LARDER_") || strings.HasPrefix(variable, "BAZEL_REMOTE_")
	})
}

// GoTool returns the command line that runs a tool pinned in .ci/tools.mod.
func GoTool(tb testing.TB, name string) []string {
	tb.Helper()
	return []string{"go", "tool", "-modfile=" + filepath.Join(Root(tb), ".ci", "tools.mod"), name}
}

// script runs a script of the repository that prints one path, and returns it.
func script(tb testing.TB, name string) string {
	tb.Helper()
	path := filepath.Join(Root(tb), "scripts", name)
	var stderr bytes.Buffer
	cmd := exec.CommandContext(tb.Context(), path)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("%s: %v\n%shint: run it by hand; the tests need what it installs", path, err, stderr.Bytes())
	}
	return strings.TrimSpace(string(out))
}

// lockedBuffer takes what a process prints while a test reads it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
