package segment

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-build/larder/server/blobstore"
)

// syncs counts the syncs of a store, and can hold them up.
func syncs(t *testing.T, mode SyncMode) (*Store, *atomic.Int64, *faults) {
	o, f := lifeOptions(t, mode)
	var count atomic.Int64
	f.set(func(call string, _ int) error {
		if call == "datasync" {
			count.Add(1)
		}
		return nil
	})
	return openStore(t, o), &count, f
}

func TestSyncAlways(t *testing.T) {
	t.Parallel()
	s, count, f := syncs(t, SyncAlways)
	before := count.Load()
	mustPut(t, s, blobOf(100, 1))
	if got := count.Load() - before; got != 1 {
		t.Errorf("%d syncs for a put", got)
	}
	before = count.Load()
	mustPut(t, s, blobOf(100, 1)) // nothing is written
	if got := count.Load() - before; got != 0 {
		t.Errorf("%d syncs for nothing", got)
	}
	f.set(func(call string, _ int) error { return ifCall(call, errDisk.Err, "datasync") })
	if err := s.Put(t.Context(), []blobstore.Blob{blobOf(100, 2)})[0]; err == nil {
		t.Error("acknowledged, and not durable")
	}
	f.set(nil)
}

// Writers that come while a sync is under way share the next one.
func TestGroupCommit(t *testing.T) {
	t.Parallel()
	s, _, f := syncs(t, SyncAlways)
	mustPut(t, s, blobOf(100, 0))
	hold := make(chan struct{})
	var count atomic.Int64
	first := make(chan struct{})
	f.mu.Lock()
	f.fail = func(call string, _ int) error {
		if call == "datasync" && count.Add(1) == 1 {
			f.mu.Unlock() // the other calls must go on meanwhile
			close(first)
			<-hold
			f.mu.Lock()
		}
		return nil
	}
	f.mu.Unlock()
	var wg sync.WaitGroup
	put := func(i uint64) {
		wg.Go(func() {
			if err := s.Put(t.Context(), []blobstore.Blob{blobOf(100, i)})[0]; err != nil {
				t.Error(err)
			}
		})
	}
	put(1)
	<-first
	for i := range uint64(20) {
		put(2 + i)
	}
	await(t, "the writes", func() bool { return s.Stats().Blobs == 22 })
	// All that wait now are one round, or will be when they get there.
	close(hold)
	wg.Wait()
	if got := count.Load(); got > 21 || got < 2 {
		t.Errorf("%d syncs", got)
	}
	f.set(nil)
}

func TestSyncIntervalAndOff(t *testing.T) {
	t.Parallel()
	o, f := lifeOptions(t, SyncInterval)
	o.SyncInterval = time.Millisecond
	var count atomic.Int64
	f.set(func(call string, _ int) error {
		if call == "datasync" {
			count.Add(1)
		}
		return nil
	})
	s := openStore(t, o)
	before := count.Load()
	mustPut(t, s, blobOf(100, 1))
	await(t, "a sync", func() bool { return count.Load() > before })

	s, off, _ := syncs(t, SyncOff)
	opened := off.Load() // larder.store itself is made durable
	mustPut(t, s, blobsOf(300, 3000)...)
	await(t, "sealing", func() bool { return !s.isSealing() })
	if got := off.Load() - opened; got != 0 {
		t.Errorf("%d syncs with syncing off", got)
	}
}

// A round takes those that waited before it began, and no others.
func TestSyncRounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o, f := lifeOptions(t, SyncInterval)
		y := newSyncer(f, newFDCache(), func(time.Duration, error) {})
		done := make(chan error)
		go func() { done <- y.wait() }()
		synctest.Wait()
		if err := y.flush(); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		go func() { done <- y.wait() }()
		synctest.Wait()
		select {
		case <-done:
			t.Error("a later one was let go by an earlier round")
		default:
		}
		y.created()
		f.set(func(call string, _ int) error { return ifCall(call, errDisk.Err, "sync") })
		if err := y.flush(); err == nil {
			t.Error("no error")
		}
		if err := <-done; err == nil {
			t.Error("no error for who waited")
		}
		if !y.names {
			t.Error("names that are not durable are forgotten")
		}
		_ = o
	})
}
