package segment

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/larder-build/larder/server/blobstore"
)

// callsOf records the calls to the file system, in their order.
func callsOf(f *faults) func() []string {
	var calls []string
	f.set(func(call string, _ int) error {
		if call != "read" && call != "free" {
			calls = append(calls, call) // under f.mu
		}
		return nil
	})
	return func() []string {
		f.mu.Lock()
		defer f.mu.Unlock()
		return slices.Clone(calls)
	}
}

// A footer vouches for the data, so the data is durable before there is one.
func TestDataIsDurableBeforeTheFooter(t *testing.T) {
	t.Parallel()
	o, f := lifeOptions(t, SyncInterval)
	o.SyncInterval = time.Hour
	s := openStore(t, o)
	mustPut(t, s, blobOf(10, 1))
	calls := callsOf(f)
	mustPut(t, s, blobsOf(70, 4000)...) // more than a segment
	await(t, "sealing", func() bool { return slices.Contains(calls(), "truncate") && !s.isSealing() })
	got := calls()
	if synced := slices.Index(got, "datasync"); synced < 0 || synced > slices.Index(got, "truncate") {
		t.Errorf("calls are %v", got)
	}
}

// What was durable stays so: the copy is, before the file of the original goes.
func TestCopiesAreDurableBeforeTheOriginalGoes(t *testing.T) {
	t.Parallel()
	o, f := lifeOptions(t, SyncInterval)
	o.SyncInterval = time.Hour
	s := openStore(t, o)
	kept := blobOf(3000, 999)
	mustPut(t, s, kept)
	mustPut(t, s, blobsOf(80, 4000)...)
	await(t, "sealing", func() bool { return !s.isSealing() })
	wantBlob(t, s, kept)
	calls := callsOf(f)
	if !s.evict(func() bool { return true }) {
		t.Fatal("nothing was evicted")
	}
	got := calls()
	written, synced, removed := slices.Index(got, "write"), slices.Index(got, "datasync"), slices.Index(got, "remove")
	if written < 0 || synced < written || removed < synced {
		t.Errorf("calls are %v", got)
	}
	wantBlob(t, s, kept)
}

// Of results that are written at the same time the same one counts now and
// after a restart.
func TestOverwritesAgreeAfterARestart(t *testing.T) {
	t.Parallel()
	s := openStore(t, small)
	for round := range 20 {
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				for i := range 3 {
					b := resultOf("r", fmt.Sprint(round, g, i))
					if err := s.Put(t.Context(), []blobstore.Blob{b})[0]; err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		now, err := read(t, s, resultOf("r", "").Key)
		if err != nil {
			t.Fatal(err)
		}
		wantBlob(t, openStore(t, in(crash(t, s.opts.Dir), small)), resultOf("r", string(now)))
	}
}
