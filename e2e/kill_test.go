package e2e

import (
	"context"
	"math/rand/v2"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc"

	"github.com/larder-build/larder/internal/testenv"
)

const (
	kills = 20
	// maxAcks is the most acknowledgements before a kill.
	maxAcks = 1000
)

// TestKillUnderLoad kills the server with -9 while it is written to in every
// way, twenty times, and expects that each time all it had acknowledged is
// there and that it never gives wrong bytes.
func TestKillUnderLoad(t *testing.T) {
	testenv.NeedsProcesses(t)
	for _, tc := range []struct {
		name string
		args []string
	}{
		{"as received", nil},
		{"zstd", []string{"--storage_mode=zstd"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			killUnderLoad(t, append(tc.args, "--max_size=4GiB"))
		})
	}
}

func killUnderLoad(t *testing.T, args []string) {
	t.Helper()
	server := larder.Start(t, testenv.Options{Args: args})
	c := dial(t, server)
	var numbers atomic.Uint64
	var blobs []blob
	var results []result
	var restarts []time.Duration
	for range kills {
		l := loadUntilKilled(t, server, c, &numbers)
		restarts = append(restarts, restart(t, server, c))
		c.requireAll(t, l.blobs, l.results)
		c.requireRightOrAbsent(t, l.pending)
		blobs, results = append(blobs, l.blobs...), append(results, l.results...)
	}
	c.requireAll(t, blobs, results)
	t.Logf("%d kills; acknowledged and read back: %d blobs, %d action results; restart to the first answer: median %v, slowest %v",
		kills, len(blobs), len(results), median(restarts), slices.Max(restarts))
	server.Stop(t)
	requireClean(t, server.Dir)
}

// requireClean fails the test unless larder scrub finds nothing wrong.
func requireClean(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), larder.Path(), "scrub", "--dir", dir)
	cmd.Env = testenv.Environ()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("larder scrub: %v\n%s", err, out)
	}
	t.Logf("larder scrub: %s", out)
}

// loadUntilKilled writes until the server is killed after a random number of
// acknowledgements, while everything else is under way.
func loadUntilKilled(t *testing.T, server *testenv.Server, c *client, numbers *atomic.Uint64) *load {
	t.Helper()
	last := 1 + rand.IntN(maxAcks)
	enough := make(chan struct{})
	var once sync.Once
	l := &load{client: c, numbers: numbers, onAck: func(n int) {
		if n >= last {
			once.Do(func() { close(enough) })
		}
	}}
	var writers sync.WaitGroup
	writers.Go(func() { l.run(t.Context()) })
	gone := make(chan struct{})
	go func() { writers.Wait(); close(gone) }()
	select {
	case <-enough:
		server.Kill()
		<-gone
	case <-gone:
		t.Fatalf("every writer failed after %d acknowledgements: %v", l.acks, l.unexpected)
	}
	if len(l.unexpected) > 0 {
		t.Errorf("writers were refused: %v", l.unexpected)
	}
	return l
}

// restart starts the killed server and returns the time from the start of the
// process to its first answer to an RPC.
func restart(t *testing.T, server *testenv.Server, c *client) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	start := time.Now()
	server.Launch(t)
	for {
		_, err := c.caps.GetCapabilities(ctx, &repb.GetCapabilitiesRequest{}, grpc.WaitForReady(true))
		if err == nil {
			return time.Since(start)
		}
		if ctx.Err() != nil {
			t.Fatalf("no answer within a minute of the restart: %v\n%s", err, server.Log())
		}
	}
}

func median(d []time.Duration) time.Duration { return slices.Sorted(slices.Values(d))[len(d)/2] }
