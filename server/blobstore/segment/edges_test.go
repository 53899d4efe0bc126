package segment

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-build/larder/server/blobstore"
)

// A result that is carried over around a pinned segment is still there after a
// restart: the tombstone is for what was dropped.
func TestCarriedAroundASlowWriter(t *testing.T) {
	t.Parallel()
	c := &clock{}
	o := Options{MaxBytes: 4 << 20, SegmentBytes: 512 << 10, now: c.now}
	s := openStore(t, o)
	w := mustCreate(t, s, blobOf(100_000, 5).Spec)
	defer w.Abort()
	result := resultOf("r", "used")
	fill(t, s, 200, 1, func() {})
	mustPut(t, s, result)
	first, _, _ := locate(t, s, result.Key)
	fill(t, s, 1500, 500, func() {
		c.advance(time.Minute)
		wantBlob(t, s, result)
	})
	if now, _, _ := locate(t, s, result.Key); now == first {
		t.Fatal("the result was not carried over")
	}
	wantBlob(t, openStore(t, in(crash(t, s.opts.Dir), o)), result)
}

// A store that is closed in the middle of an eviction keeps the segment whose
// tombstones it could not write.
func TestClosedWhileEvicting(t *testing.T) {
	t.Parallel()
	o := Options{MaxBytes: 4 << 20, SegmentBytes: 512 << 10, now: (&clock{}).now}
	s := openStore(t, o)
	w := mustCreate(t, s, blobOf(100_000, 5).Spec)
	defer w.Abort()
	mustPut(t, s, resultOf("r", "old")) // in the pinned segment
	fill(t, s, 200, 1, func() {})
	mustPut(t, s, resultOf("r", "new"))
	seg, _, _ := locate(t, s, resultOf("r", "").Key)
	fill(t, s, 200, 500, func() {})
	await(t, "sealing", func() bool { return !s.isSealing() })
	if err := seg.acquire(s.fds); err != nil {
		t.Fatal(err)
	}
	defer seg.release(s.fds)
	entries, err := s.entriesOf(seg)
	if err != nil {
		t.Fatal(err)
	}
	v := victim{s: s, seg: seg, entries: entries, now: s.minute()}
	s.closed.Store(true) // as Close does first
	if v.forgetAll() {
		t.Error("the segment was dropped without its tombstones")
	}
	s.closed.Store(false)
	s2 := openStore(t, in(crash(t, s.opts.Dir), o))
	wantBlob(t, s2, resultOf("r", "new"))
}

// A segment of a large blob that was not finished and cannot be read any more
// does not keep a store from opening.
func TestUnreadableSingle(t *testing.T) {
	t.Parallel()
	o, f := lifeOptions(t, SyncInterval)
	s, err := tryOpen(t, o)
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, blobOf(100, 1))
	b := blobOf(100_000, 2)
	w := mustCreate(t, s, b.Spec)
	if _, err := w.Write(b.Data[:90_000]); err != nil {
		t.Fatal(err)
	}
	dir := crash(t, f.dir)
	w.Abort()
	mustClose(t, s)
	o.Dir, o.fsys = dir, &badSingles{osFiles{dir}, segmentFiles(t, dir)[1]}
	wantBlob(t, openStore(t, o), blobOf(100, 1))
}

// badSingles is a directory with one file that is bad after its header.
type badSingles struct {
	osFiles
	path string
}

func (f *badSingles) open(name string) (file, error) {
	o, err := f.osFiles.open(name)
	if err != nil || !strings.HasSuffix(f.path, name) {
		return o, err
	}
	return badFile{o}, nil
}

type badFile struct{ file }

func (o badFile) ReadAt(p []byte, at int64) (int, error) {
	if at >= dataStart {
		return 0, errDisk
	}
	return o.file.ReadAt(p, at)
}

// Large blobs that are used are not kept for ever where the disk is full, also
// in a store without a limit of its own.
func TestMinFreeBytesWithLargeBlobs(t *testing.T) {
	t.Parallel()
	c := &clock{}
	o := Options{Dir: t.TempDir(), MinFreeBytes: 1 << 20, SegmentBytes: 64 << 10, now: c.now}
	f := &nearlyFull{osFiles: osFiles{o.Dir}}
	o.fsys = f
	s := openStore(t, o)
	for i := range uint64(10) {
		stream(t, s, blobOf(50_000, i))
	}
	c.advance(time.Hour)
	for i := range uint64(10) {
		wantBlob(t, s, blobOf(50_000, i))
	}
	await(t, "sealing", func() bool { return !s.isSealing() })
	f.set(1 << 19)
	await(t, "eviction", func() bool {
		s.wakeEvictor() // else there is one a second
		return len(s.segs.all()) == 0
	})
	f.set(1 << 40)
}

// A blob that another is just writing is acknowledged when it is durable.
func TestSyncAlwaysOfTheSameBlob(t *testing.T) {
	t.Parallel()
	s, _, f := syncs(t, SyncAlways)
	var holding atomic.Bool
	first, hold := make(chan struct{}), make(chan struct{})
	f.mu.Lock()
	f.fail = func(call string, _ int) error {
		if call == "datasync" && holding.CompareAndSwap(false, true) {
			f.mu.Unlock()
			close(first)
			<-hold
			f.mu.Lock()
		}
		return nil
	}
	f.mu.Unlock()
	done := make(chan error, 2)
	put := func() { done <- errors.Join(s.Put(t.Context(), []blobstore.Blob{blobOf(100, 7)})...) }
	go put()
	<-first
	go put()
	select {
	case err := <-done:
		t.Errorf("acknowledged before it was durable: %v", err)
		done <- err
	case <-time.After(100 * time.Millisecond):
	}
	close(hold)
	if err := errors.Join(<-done, <-done); err != nil {
		t.Error(err)
	}
	f.set(nil)
}

// Uploads that nobody brings to an end hold all segments. The store asks for
// them before it refuses a write.
func TestOnNoSpace(t *testing.T) {
	t.Parallel()
	s := openStore(t, Options{MaxBytes: 4 << 20, SegmentBytes: 256 << 10})
	var parked []blobstore.Writer
	asked := 0
	s.OnNoSpace(func() bool {
		if asked++; len(parked) == 0 {
			return false
		}
		parked[0].Abort()
		parked = parked[1:]
		return true
	})
	defer func() {
		for _, w := range parked {
			w.Abort()
		}
	}()
	// One slow upload in each segment, until nothing can be evicted.
	for i := range uint64(40) {
		w := mustCreate(t, s, blobOf(50_000, 1000+i).Spec)
		parked = append(parked, w)
		for j := range uint64(7) {
			mustPut(t, s, blobOf(30_000, 100*i+j))
		}
	}
	if asked == 0 {
		t.Error("there was room all the time: this test tests nothing")
	}
	if len(parked) == 0 {
		t.Error("more was given up than was needed")
	}
}
