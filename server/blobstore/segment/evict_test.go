package segment

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/larder-build/larder/server/blobstore"
)

// tiny is a store of 16 segments of 64 KiB.
func tiny(c *clock) Options {
	return Options{MaxBytes: 1 << 20, SegmentBytes: 64 << 10, now: c.now}
}

// fill writes count blobs of 4 KiB, one at a time, and calls each after every
// one.
func fill(t *testing.T, s *Store, count int, seed uint64, each func()) []blobstore.Blob {
	t.Helper()
	blobs := make([]blobstore.Blob, count)
	for i := range blobs {
		blobs[i] = blobOf(4000, seed+uint64(i))
		mustPut(t, s, blobs[i])
		if disk := s.Stats().DiskBytes; disk > s.opts.MaxBytes {
			t.Fatalf("%d bytes on disk, at most %d are allowed", disk, s.opts.MaxBytes)
		}
		each()
	}
	return blobs
}

func has(s *Store, b blobstore.Blob) bool {
	_, ok := s.index.get(s.ident.key.tag(&b.Key))
	return ok
}

// What is not used goes, the oldest first.
func TestEvictsTheOldest(t *testing.T) {
	t.Parallel()
	s := openStore(t, tiny(&clock{}))
	blobs := fill(t, s, 1000, 1, func() {})
	await(t, "the end of eviction", func() bool { return !s.isSealing() && !s.overLowWater() })
	here := 0
	for i, b := range blobs {
		if has(s, b) {
			here++
			wantBlob(t, s, b)
		} else if here > 0 {
			t.Fatalf("blob %d was forgotten, older ones were not", i)
		}
	}
	if kept := here * 4000; int64(kept) < s.opts.MaxBytes*3/4 {
		t.Errorf("only %d bytes of %d are used", kept, s.opts.MaxBytes)
	}
	st := s.Stats()
	if st.EvictedBlobs != int64(1000-here) || st.EvictedBytes != st.EvictedBlobs*4000 || st.StoredBytes != int64(here)*4000 || st.Blobs != int64(here) {
		t.Errorf("stats are %+v, with %d blobs", st, here)
	}
	wantClean(t, s)
}

// What is used again and again stays, however much passes through.
func TestKeepsWhatIsUsed(t *testing.T) {
	t.Parallel()
	c := &clock{}
	s := openStore(t, tiny(c))
	used := append(blobsOf(10, 2000), resultOf("a", "result"), blobOf(30_000, 77)) // the last has its own segment
	mustPut(t, s, used...)
	fill(t, s, 1500, 100, func() {
		c.advance(time.Minute)
		for _, b := range used {
			if missing, err := s.FindMissing(t.Context(), []blobstore.Key{b.Key}); err != nil || len(missing) > 0 {
				t.Fatalf("%v is missing, error %v", b.Key, err)
			}
		}
	})
	for _, b := range used {
		wantBlob(t, s, b)
	}
	if n := testutil.ToFloat64(s.metrics.carriedBlobs); n < 12 {
		t.Errorf("%v blobs carried over", n)
	}
	s2 := openStore(t, in(crash(t, s.opts.Dir), tiny(c)))
	for _, b := range used {
		wantBlob(t, s2, b)
	}
	wantClean(t, s2)
}

// What was used once, right after it was written, is not what is used later.
func TestForgetsWhatWasOnlyUsedEarly(t *testing.T) {
	t.Parallel()
	c := &clock{}
	s := openStore(t, tiny(c))
	early := blobsOf(10, 3000)
	mustPut(t, s, early...)
	for _, b := range early {
		wantBlob(t, s, b)
	}
	fill(t, s, 1000, 100, func() { c.advance(time.Minute) })
	for _, b := range early {
		if has(s, b) {
			t.Errorf("%v is still there", b.Key)
		}
	}
}

// At most half of a segment is carried over, the last used first.
func TestCarriesTheLastUsedFirst(t *testing.T) {
	t.Parallel()
	c := &clock{}
	s := openStore(t, tiny(c))
	first := fill(t, s, 15, 1, func() {}) // one segment
	for _, b := range first {
		c.advance(time.Minute)
		wantBlob(t, s, b)
	}
	for i := 0; has(s, first[0]); i++ {
		fill(t, s, 1, 1000+uint64(i), func() {})
	}
	await(t, "the eviction", func() bool { return testutil.ToFloat64(s.metrics.evictedSegments) > 0 })
	for i, b := range first {
		if want := i >= 8; has(s, b) != want {
			t.Errorf("blob %d of 15 is there: %v", i, !want)
		}
	}
}

// The minimum lifetime protects what was used lately; where it cannot, that is
// counted.
func TestMinTTL(t *testing.T) {
	t.Parallel()
	c := &clock{}
	o := tiny(c)
	o.MinTTL = 3 * time.Hour
	s := openStore(t, o)
	b := blobOf(3000, 77)
	mustPut(t, s, b)
	c.advance(time.Minute)
	wantBlob(t, s, b) // an early use; see TestForgetsWhatWasOnlyUsedEarly
	fill(t, s, 600, 100, func() {})
	if !has(s, b) {
		t.Error("forgotten within its lifetime")
	}
	if testutil.ToFloat64(s.metrics.cutShort) == 0 {
		t.Error("lifetimes cut short are not counted")
	}
	c.advance(4 * time.Hour)
	before := testutil.ToFloat64(s.metrics.cutShort)
	fill(t, s, 200, 1000, func() {})
	if got := testutil.ToFloat64(s.metrics.cutShort); got != before {
		t.Errorf("%v lifetimes cut short that had passed", got-before)
	}
}

// Uses are remembered over a restart.
func TestTouchesLast(t *testing.T) {
	t.Parallel()
	c := &clock{}
	o := in(t.TempDir(), tiny(c))
	s, err := tryOpen(t, o)
	if err != nil {
		t.Fatal(err)
	}
	b := blobOf(3000, 77)
	mustPut(t, s, b)
	fill(t, s, 100, 100, func() { c.advance(time.Minute) })
	wantBlob(t, s, b)
	mustClose(t, s)
	s = openStore(t, o)
	fill(t, s, 180, 300, func() {})
	if !has(s, b) {
		t.Error("the use was forgotten")
	}
}

func TestReadersOutliveEviction(t *testing.T) {
	t.Parallel()
	c := &clock{}
	s := openStore(t, tiny(c))
	for _, b := range []blobstore.Blob{blobOf(15_000, 1), blobOf(300_000, 2)} {
		mustPut(t, s, b)
		r, err := s.Get(t.Context(), b.Key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		for i := 0; has(s, b); i++ {
			fill(t, s, 20, 1000+20*uint64(i), func() { c.advance(time.Minute) })
			if i > 100 {
				t.Fatal("it is not evicted")
			}
		}
		rest, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(rest, b.Data[10:]) {
			t.Errorf("%d bytes, error %v", len(rest), err)
		}
		r.Close()
		wantError(t, s, b.Key, blobstore.ErrNotFound)
	}
}

// A writer that is slow pins its segment, and the rest goes on around it.
func TestSlowWriter(t *testing.T) {
	t.Parallel()
	o := Options{MaxBytes: 4 << 20, SegmentBytes: 512 << 10, now: (&clock{}).now}
	s := openStore(t, o)
	slow := blobOf(100_000, 5)
	w := mustCreate(t, s, slow.Spec)
	if _, err := w.Write(slow.Data[:70_000]); err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, resultOf("r", "old"))
	result := resultOf("r", "new")
	fill(t, s, 200, 1, func() {})
	mustPut(t, s, result)
	fill(t, s, 4000, 500, func() {})
	if has(s, result) {
		t.Fatal("the result was not evicted")
	}
	if _, err := w.Write(slow.Data[70_000:]); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	wantBlob(t, s, slow)
	// The old result is in the pinned segment, the new one's segment is gone.
	s2 := openStore(t, in(crash(t, s.opts.Dir), o))
	wantError(t, s2, result.Key, blobstore.ErrNotFound)
	wantBlob(t, s2, slow)
}

func TestNoSpace(t *testing.T) {
	t.Parallel()
	o := Options{MaxBytes: 4 << 20, SegmentBytes: 512 << 10}
	s := openStore(t, o)
	var writers []blobstore.Writer
	var err error
	for i := 0; err == nil; i++ {
		var w blobstore.Writer
		if w, err = s.Create(t.Context(), blobOf(200_000, uint64(i)).Spec); err == nil {
			writers = append(writers, w)
		}
	}
	if !errors.Is(err, blobstore.ErrNoSpace) || len(writers) < 10 {
		t.Fatalf("after %d writers: %v", len(writers), err)
	}
	if st := s.Stats(); st.DiskBytes > st.MaxBytes || st.ReservedBytes < int64(len(writers))*200_000 {
		t.Errorf("stats are %+v", st)
	}
	for _, w := range writers {
		w.Abort()
	}
	if got := s.Stats().ReservedBytes; got != 0 {
		t.Errorf("%d bytes are reserved", got)
	}
	mustPut(t, s, blobOf(200_000, 0))
	wantBlob(t, s, blobOf(200_000, 0))
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	s := openStore(t, Options{MaxBytes: 4 << 20, SegmentBytes: 512 << 10})
	largest := blobOf(int(s.maxBlob), 1)
	mustPut(t, s, blobsOf(100, 10_000)...)
	stream(t, s, largest)
	wantBlob(t, s, largest)
	if st := s.Stats(); st.DiskBytes > st.MaxBytes {
		t.Errorf("%d bytes on disk", st.DiskBytes)
	}
	over := blobOf(int(s.maxBlob)+1, 1)
	if _, err := s.Create(t.Context(), over.Spec); !errors.Is(err, blobstore.ErrTooLarge) {
		t.Errorf("create: %v", err)
	}
	if err := s.Put(t.Context(), []blobstore.Blob{over})[0]; !errors.Is(err, blobstore.ErrTooLarge) {
		t.Errorf("put: %v", err)
	}
}

// Room that is not used is given back, and used again.
func TestRoomOfAbortedWrites(t *testing.T) {
	t.Parallel()
	s := openStore(t, Options{MaxBytes: 64 << 20, SegmentBytes: 8 << 20})
	for i := range 200 {
		w := mustCreate(t, s, blobOf(1<<20, 1).Spec)
		if _, err := w.Write(make([]byte, 300_000)); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			mustPut(t, s, blobOf(10, uint64(i))) // behind the room, so that it cannot just be taken again
		}
		w.Abort()
	}
	st := s.Stats()
	if st.EvictedBlobs > 0 || st.DiskBytes > 10<<20 || st.Blobs != 100 {
		t.Errorf("stats are %+v", st)
	}
	s2 := openStore(t, in(crash(t, s.opts.Dir), s.opts.again()))
	if got := s2.Stats().Blobs; got != 100 {
		t.Errorf("%d blobs after a restart", got)
	}
}

// Eviction in the middle of overwrites and removals never brings back what was
// overwritten or removed.
func TestCarryOverAgainstOverwrites(t *testing.T) {
	t.Parallel()
	c := &clock{}
	s := openStore(t, tiny(c))
	state := make(map[string]string)
	for step := range 3000 {
		name := fmt.Sprint(step * 7 % 23)
		switch step % 5 {
		case 0, 1:
			state[name] = fmt.Sprintf("%s of step %d", name, step)
			mustPut(t, s, resultOf(name, state[name]))
		case 2:
			if err := s.Remove(t.Context(), resultOf(name, "").Key); err != nil {
				t.Fatal(err)
			}
			delete(state, name)
		default:
			c.advance(time.Minute)
			mustPut(t, s, blobOf(3000, uint64(step)))
		}
		if step%500 == 499 {
			checkResults(t, openStore(t, in(crash(t, s.opts.Dir), tiny(c))), state)
		}
		checkResults(t, s, state)
	}
}

// checkResults wants no result that is not the newest. It may be forgotten.
func checkResults(t *testing.T, s *Store, state map[string]string) {
	t.Helper()
	for i := range 23 {
		name := fmt.Sprint(i)
		got, err := read(t, s, resultOf(name, "").Key)
		want, ok := state[name]
		if errors.Is(err, blobstore.ErrNotFound) {
			continue
		}
		if err != nil || !ok || string(got) != want {
			t.Fatalf("result %s is %q, error %v; want %q", name, got, err, want)
		}
	}
}
