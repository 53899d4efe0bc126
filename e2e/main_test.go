// Package e2e tries the built program with real clients and real faults: Bazel
// of two ages, grpcurl, a Go client, kill -9, a flipped bit, a full disk.
//
// It is left out by go test -short. Everything else it needs it installs, or
// fails saying what is missing.
package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/larder-build/larder/internal/testenv"
)

// larder is the program under test, built once.
var larder testenv.Larder

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		os.Exit(m.Run())
	}
	os.Exit(withLarder(m))
}

func withLarder(m *testing.M) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "larder-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	larder, err = testenv.BuildLarder(ctx, "..", dir, false)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
