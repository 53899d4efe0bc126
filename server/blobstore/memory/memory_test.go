package memory_test

import (
	"errors"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/memory"
	"github.com/larder-build/larder/server/blobstore/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(*testing.T) blobstore.Store { return memory.New(memory.Options{}) })
}

func TestStoreForgetsOldest(t *testing.T) {
	t.Parallel()
	s := memory.New(memory.Options{MaxBytes: 1000})
	content := func(i uint64) []byte { return storetest.Content(100, i) }
	put := func(i uint64) {
		c := content(i)
		b := blobstore.Blob{Spec: blobstore.Spec{Key: storetest.CAS(c), Size: 100}, Data: c}
		if err := s.Put(t.Context(), []blobstore.Blob{b})[0]; err != nil {
			t.Fatal(err)
		}
	}
	keys := func(from, to uint64) (keys []blobstore.Key) {
		for i := from; i < to; i++ {
			keys = append(keys, storetest.CAS(content(i)))
		}
		return keys
	}
	for i := range uint64(10) {
		put(i)
	}
	// The first two are used again, so the three after them are the oldest.
	if missing, err := s.FindMissing(t.Context(), keys(0, 2)); err != nil || len(missing) != 0 {
		t.Fatalf("missing %v, error %v", missing, err)
	}
	for i := range uint64(3) {
		put(10 + i)
	}
	missing, err := s.FindMissing(t.Context(), keys(0, 13))
	if want := []int{2, 3, 4}; err != nil || !slices.Equal(missing, want) {
		t.Errorf("missing %v, error %v, want %v", missing, err, want)
	}
	st := s.Stats()
	want := blobstore.Stats{Blobs: 10, LogicalBytes: 1000, StoredBytes: 1000, MaxBytes: 1000, EvictedBlobs: 3, EvictedBytes: 300}
	if st != want {
		t.Errorf("Stats %+v, want %+v", st, want)
	}
}

func TestStoreIsBounded(t *testing.T) {
	t.Parallel()
	s := memory.New(memory.Options{MaxBytes: 1000})
	spec := func(size int, seed uint64) blobstore.Spec {
		return blobstore.Spec{Key: storetest.CAS(storetest.Content(size, seed)), Size: int64(size)}
	}
	if _, err := s.Create(t.Context(), spec(1001, 1)); !errors.Is(err, blobstore.ErrTooLarge) {
		t.Errorf("Create of more than there is: %v", err)
	}
	w, err := s.Create(t.Context(), spec(600, 1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(t.Context(), spec(401, 2)); !errors.Is(err, blobstore.ErrNoSpace) {
		t.Errorf("Create of more than is left by writes under way: %v", err)
	}
	if st := s.Stats(); st.ReservedBytes != 600 {
		t.Errorf("ReservedBytes %d while a write of 600 is under way", st.ReservedBytes)
	}
	w.Abort()
	if st := s.Stats(); st.ReservedBytes != 0 {
		t.Errorf("ReservedBytes %d after Abort", st.ReservedBytes)
	}
}

func TestHammerWhileForgetting(t *testing.T) {
	t.Parallel()
	s := memory.New(memory.Options{MaxBytes: 2 << 20})
	storetest.Hammer(t, s, storetest.Options{MayForget: true, MaxBlobBytes: 200_000, Blobs: 512, Tolerate: func(err error) bool {
		return errors.Is(err, blobstore.ErrNoSpace)
	}})
	if s.Stats().EvictedBlobs == 0 {
		t.Error("the load evicted nothing, so it tested nothing")
	}
}
