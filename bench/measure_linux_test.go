package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeOperations notes what is asked of it.
type fakeOperations struct {
	failAt int // the operation that fails; none if negative

	mu       sync.Mutex
	done     map[string][]int // operations by server
	checked  map[string]int   // how many of them were to be checked
	setups   []string
	prepared [][2]int
}

var errFake = errors.New("fake failure")

func (f *fakeOperations) setup(_ context.Context, c *caller) error {
	f.setups = append(f.setups, c.target.name)
	return nil
}

func (f *fakeOperations) prepare(first, n int) { f.prepared = append(f.prepared, [2]int{first, n}) }

func (f *fakeOperations) do(_ context.Context, c *caller, i int) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done[c.target.name] = append(f.done[c.target.name], i)
	if c.check {
		f.checked[c.target.name]++
	}
	if i == f.failAt {
		return 0, errFake
	}
	return 3, nil
}

// newFake compares two servers that both are this process.
func newFake(t *testing.T, failAt int) (*comparison, *fakeOperations) {
	t.Helper()
	ops := &fakeOperations{failAt: failAt, done: make(map[string][]int), checked: make(map[string]int)}
	c := &comparison{workload: workload{name: "fake"}, ops: ops, rounds: 3, duration: time.Millisecond, buffers: make([]*buffer, 4)}
	for _, name := range []string{"a", "b"} {
		target, err := dialTarget(name, "127.0.0.1:1", "", 1, 1)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(target.close)
		c.servers = append(c.servers, &server{contender: contender{name: name, pid: os.Getpid()}, target: target})
	}
	return c, ops
}

func TestComparison(t *testing.T) {
	t.Parallel()
	c, ops := newFake(t, -1)
	all, err := c.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range all {
		if len(s.rounds) != 3 || s.peak.peak == 0 || s.server != c.servers[i] {
			t.Errorf("server %d: %d rounds, %+v", i, len(s.rounds), s.peak)
		}
		for _, r := range s.rounds {
			if len(r.latencies) != c.perRound || r.bytes != 3*int64(c.perRound) || r.elapsed <= 0 || r.cpu <= 0 {
				t.Errorf("server %d: a round of %d operations, %d bytes, %v, CPU %v", i, len(r.latencies), r.bytes, r.elapsed, r.cpu)
			}
		}
	}
	if len(ops.setups) != 2 || ops.checked["a"] == 0 || ops.checked["a"] != ops.checked["b"] {
		t.Errorf("set up %v, checked %v", ops.setups, ops.checked)
	}
}

// TestComparisonIsFair checks that both servers did every operation once.
func TestComparisonIsFair(t *testing.T) {
	t.Parallel()
	c, ops := newFake(t, -1)
	if _, err := c.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	prepared := make(map[int]bool)
	for _, p := range ops.prepared {
		for i := p[0]; i < p[0]+p[1]; i++ {
			if prepared[i] {
				t.Fatalf("operation %d was prepared twice", i)
			}
			prepared[i] = true
		}
	}
	for name, done := range ops.done {
		seen := make(map[int]bool)
		for _, i := range done {
			if seen[i] || !prepared[i] {
				t.Fatalf("server %s: operation %d was done twice or not prepared", name, i)
			}
			seen[i] = true
		}
		if len(done) != len(prepared) {
			t.Errorf("server %s did %d of %d operations", name, len(done), len(prepared))
		}
	}
}

func TestComparisonStopsAtAnError(t *testing.T) {
	t.Parallel()
	c, ops := newFake(t, 5)
	_, err := c.run(t.Context())
	if !errors.Is(err, errFake) || !strings.Contains(err.Error(), "fake, server a, operation 5") {
		t.Errorf("got %v", err)
	}
	if n := len(ops.done["b"]); n > 0 {
		t.Errorf("server b did %d operations after server a had failed", n)
	}
}

func TestComparisonStopsWhenCancelled(t *testing.T) {
	t.Parallel()
	c, _ := newFake(t, -1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
