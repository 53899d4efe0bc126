package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// firstOps is how many operations the calibration begins with, firstLargeOps
	// of a large workload; growth is what each further try multiplies them by.
	firstOps, firstLargeOps, growth = 8, 2, 4
	// warmPart is the part of a round that goes before the measurement.
	warmPart = 4
	// settleTime is how long a server's clock runs on after its last round, for
	// what it puts off: the default of larder's --sync_interval, and some.
	settleTime = 1200 * time.Millisecond
)

// comparison measures one workload on several servers.
type comparison struct {
	workload workload
	ops      operations
	servers  []*server
	buffers  []*buffer // one per caller
	rounds   int
	duration time.Duration // of a round of the first server
	next     int           // the first operation not done yet
	perRound int
}

// round is what one round of one server gave.
type round struct {
	elapsed   time.Duration
	latencies []time.Duration // sorted
	bytes     int64
	// cpu is what the server used from the beginning of the round to the
	// beginning of its next one, so that work it put off is counted.
	cpu time.Duration
}

// series are the rounds of one server.
type series struct {
	server *server
	rounds []round
	peak   memory
}

// run sets the servers up and lets them take turns.
func (c *comparison) run(ctx context.Context) ([]series, error) {
	if err := c.begin(ctx); err != nil {
		return nil, err
	}
	out := make([]series, len(c.servers))
	clocks := make([]time.Duration, len(c.servers)) // at the last round's beginning
	for i, s := range c.servers {
		out[i].server = s
	}
	runtime.GC() // the set-up's garbage is not to be collected in a round
	for r := range c.rounds {
		c.ops.prepare(c.next, c.perRound)
		for k := range c.servers {
			i := (r + k) % len(c.servers) // another begins each time
			if err := out[i].closeRound(&clocks[i]); err != nil {
				return nil, err
			}
			got, err := c.round(ctx, c.servers[i], c.next, c.perRound, false)
			if err != nil {
				return nil, err
			}
			out[i].rounds = append(out[i].rounds, got)
		}
		c.next += c.perRound
	}
	return out, c.end(ctx, out, clocks)
}

// begin sets every server up, finds out how many operations make a round, and
// warms the servers up while checking their answers.
func (c *comparison) begin(ctx context.Context) error {
	for _, s := range c.servers {
		if err := c.ops.setup(ctx, s.newCaller(0, c.buffers[0])); err != nil {
			return c.explain(s, "set-up", err)
		}
	}
	if err := c.calibrate(ctx); err != nil {
		return err
	}
	warm := max(c.perRound/warmPart, c.workload.callers(len(c.buffers)))
	c.ops.prepare(c.next, warm)
	for _, s := range c.servers {
		if _, err := c.round(ctx, s, c.next, warm, true); err != nil {
			return err
		}
		if err := resetPeak(s.pid); err != nil {
			return fmt.Errorf("server %s: reset its peak memory: %w", s.contender.name, err)
		}
	}
	c.next += warm
	return nil
}

// calibrate sets perRound so that a round takes the first server c.duration.
// The others do the same operations, so that all have the same past.
func (c *comparison) calibrate(ctx context.Context) error {
	least, n := c.workload.callers(len(c.buffers)), firstOps
	if c.workload.large {
		n = firstLargeOps
	}
	for ; c.perRound == 0; n *= growth {
		c.ops.prepare(c.next, n)
		for i, s := range c.servers {
			got, err := c.round(ctx, s, c.next, n, false)
			if err != nil {
				return err
			}
			if i == 0 && got.elapsed*growth >= c.duration {
				c.perRound = max(least, int(float64(n)*float64(c.duration)/float64(got.elapsed)))
			}
		}
		c.next += n
	}
	return nil
}

// closeRound gives the last round the CPU time since it began, and begins
// another.
func (s *series) closeRound(clock *time.Duration) error {
	now, err := cpuTime(s.server.pid)
	if err != nil {
		return fmt.Errorf("server %s: %w%s", s.server.contender.name, err, s.server.tail())
	}
	if n := len(s.rounds); n > 0 {
		s.rounds[n-1].cpu = now - *clock
	}
	*clock = now
	return nil
}

// end closes the last rounds.
func (c *comparison) end(ctx context.Context, all []series, clocks []time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(min(settleTime, c.duration*2)):
	}
	for i := range all {
		if err := all[i].closeRound(&clocks[i]); err != nil {
			return err
		}
		m, err := memoryOf(all[i].server.pid)
		if err != nil {
			return err
		}
		all[i].peak = m
	}
	return nil
}

// round performs n operations from first on and times them.
func (c *comparison) round(ctx context.Context, s *server, first, n int, check bool) (round, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	out := round{latencies: make([]time.Duration, n)}
	var next, bytes atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for k := range c.workload.callers(len(c.buffers)) {
		wg.Go(func() {
			caller := s.newCaller(k, c.buffers[k])
			caller.check = check
			for i := next.Add(1) - 1; i < int64(n) && ctx.Err() == nil; i = next.Add(1) - 1 {
				begin := time.Now()
				got, err := c.ops.do(ctx, caller, first+int(i))
				if err != nil {
					cancel(c.explain(s, fmt.Sprintf("operation %d", first+int(i)), err))
				}
				out.latencies[i] = time.Since(begin)
				bytes.Add(got)
			}
		})
	}
	wg.Wait()
	out.elapsed, out.bytes = time.Since(start), bytes.Load()
	slices.Sort(out.latencies)
	return out, context.Cause(ctx)
}

func (c *comparison) explain(s *server, what string, err error) error {
	return fmt.Errorf("%s, server %s, %s: %w%s", c.workload.name, s.contender.name, what, err, s.tail())
}
