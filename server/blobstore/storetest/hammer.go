package storetest

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/larder-build/larder/server/blobstore"
)

// Options of a History. The zero value makes a load of about a second.
type Options struct {
	// Seed makes another load of the same kind.
	Seed uint64
	// Goroutines work at the same time, each doing Operations in a row.
	// 8 of 150 if they are 0.
	Goroutines, Operations int
	// Blobs and Actions are how many digests there are, in the CAS and in the
	// action cache. 128 and 32 if they are 0.
	Blobs, Actions int
	// MaxBlobBytes bounds the size of a blob. Most are far smaller. 512 KiB if
	// it is 0.
	MaxBlobBytes int
	// MayForget allows the store to have evicted what it acknowledged.
	MayForget bool
	// Tolerate says whether a verb may fail with err, as when the store is
	// killed meanwhile. A write that failed so may have happened or not.
	// Without it no verb may fail.
	Tolerate func(err error) bool
}

func (o Options) withDefaults() Options {
	o.Goroutines = cmp.Or(o.Goroutines, 8)
	o.Operations = cmp.Or(o.Operations, 150)
	o.Blobs = cmp.Or(o.Blobs, 128)
	o.Actions = cmp.Or(o.Actions, 32)
	o.MaxBlobBytes = cmp.Or(o.MaxBlobBytes, 512<<10)
	if o.Tolerate == nil {
		o.Tolerate = func(error) bool { return false }
	}
	return o
}

// Hammer puts a random concurrent load on an empty store and checks every
// answer, byte for byte, against what was acknowledged before.
func Hammer(t *testing.T, s blobstore.Store, opts Options) {
	t.Helper()
	h := NewHistory(opts)
	if err := h.Run(t.Context(), s); err != nil {
		t.Fatalf("under load: %v", err)
	}
	if err := h.Check(t.Context(), s); err != nil {
		t.Fatalf("after the load: %v", err)
	}
}

// History remembers what a store acknowledged, so that another store over the
// same data, as after a restart, can be held to it.
type History struct {
	opts    Options
	blobs   []*record
	actions []*record
	runs    uint64
}

// NewHistory returns a history in which nothing was written.
func NewHistory(opts Options) *History {
	h := &History{opts: opts.withDefaults()}
	rng := rand.New(rand.NewPCG(opts.Seed, 1))
	for i := range h.opts.Blobs {
		h.blobs = append(h.blobs, newBlobRecord(h.opts, i, rng))
	}
	for i := range h.opts.Actions {
		h.actions = append(h.actions, newActionRecord(h.opts, i, rng))
	}
	return h
}

// Run puts the load on the store and returns the first wrong answer. It may be
// called again, also with another store that has the data of the last one, but
// not at the same time. If the context ends, the load ends, without an error.
func (h *History) Run(ctx context.Context, s blobstore.Store) error {
	h.runs++
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	wrong := make(chan error, h.opts.Goroutines)
	var wg sync.WaitGroup
	for g := range h.opts.Goroutines {
		w := &worker{h: h, store: s, rng: rand.New(rand.NewPCG(h.opts.Seed+h.runs<<32, uint64(g)))}
		wg.Go(func() {
			if err := w.run(ctx); err != nil {
				wrong <- fmt.Errorf("goroutine %d: %w", g, err)
				stop()
			}
		})
	}
	wg.Wait()
	close(wrong)
	return <-wrong
}

// Check reads all that was acknowledged. Nothing may be written meanwhile.
func (h *History) Check(ctx context.Context, s blobstore.Store) error {
	w := &worker{h: h, store: s, rng: rand.New(rand.NewPCG(h.opts.Seed, 2))}
	all := slices.Concat(h.blobs, h.actions)
	for _, r := range all {
		if err := w.read(ctx, r); err != nil {
			return err
		}
	}
	return w.findMissing(ctx, all)
}

// Acknowledged returns how many blobs and action results the store has
// acknowledged so far, each counted once.
func (h *History) Acknowledged() (n int) {
	for _, r := range h.blobs {
		n += min(1, int(r.snapshot().acked))
	}
	for _, r := range h.actions {
		n += min(1, int(r.snapshot().acked))
	}
	return n
}
