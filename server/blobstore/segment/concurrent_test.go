package segment

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/storetest"
)

func TestHammer(t *testing.T) {
	t.Parallel()
	storetest.Hammer(t, openStore(t, Options{MaxBytes: 4 * storetest.MinBytes, SegmentBytes: 1 << 20}), storetest.Options{})
}

// The same in so little room that all of it is evicted several times.
func TestHammerWithEviction(t *testing.T) {
	t.Parallel()
	s := openStore(t, Options{MaxBytes: 1 << 20, SegmentBytes: 64 << 10})
	storetest.Hammer(t, s, storetest.Options{Seed: 2, MaxBlobBytes: 64 << 10, MayForget: true})
	if s.Stats().EvictedBlobs == 0 {
		t.Error("nothing was evicted")
	}
	wantClean(t, s)
}

// A load, a crash, a load, a crash: what was acknowledged is there.
func TestHammerWithCrashes(t *testing.T) {
	t.Parallel()
	o := Options{Dir: t.TempDir(), MaxBytes: 4 * storetest.MinBytes, SegmentBytes: 1 << 20}
	h := storetest.NewHistory(storetest.Options{Operations: 40})
	for range 4 {
		s := openStore(t, o)
		if err := h.Run(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		o.Dir = crash(t, o.Dir)
		if err := h.Check(t.Context(), openStore(t, in(crash(t, o.Dir), o))); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOneKeyManyWriters(t *testing.T) {
	t.Parallel()
	s := openStore(t, small)
	for _, n := range []int{100, 10_000, 70_000, 300_000} {
		b := blobOf(n, 1)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				if i%2 == 0 {
					if err := s.Put(t.Context(), []blobstore.Blob{b})[0]; err != nil {
						t.Error(err)
					}
					return
				}
				w, err := s.Create(t.Context(), b.Spec)
				if err == nil {
					_, err = w.Write(b.Data)
				}
				if err == nil {
					err = w.Commit()
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		wantBlob(t, s, b)
	}
	if st := s.Stats(); st.Blobs != 4 || st.StoredBytes != st.LogicalBytes {
		t.Errorf("stats are %+v", st)
	}
	wantClean(t, s)
	wantClean(t, openStore(t, in(crash(t, s.opts.Dir), small)))
}

// All writers together get so much memory and no more; those that get none
// write all the same.
func TestManyOpenWriters(t *testing.T) {
	t.Parallel()
	s := openStore(t, Options{MaxBytes: 1 << 30})
	const count = 3000
	blobs := make([]blobstore.Blob, count)
	writers := make([]blobstore.Writer, count)
	for i := range writers {
		blobs[i] = blobOf(40_000, uint64(i))
		writers[i] = mustCreate(t, s, blobs[i].Spec)
	}
	for _, part := range [][2]int{{0, 16_384}, {16_384, 32_768}, {32_768, 40_000}} {
		for i, w := range writers {
			if _, err := w.Write(blobs[i].Data[part[0]:part[1]]); err != nil {
				t.Fatal(err)
			}
		}
		if got := s.buffers.writer.Load(); got > writerBufferBytes {
			t.Fatalf("writers have %d bytes", got)
		}
	}
	for _, w := range writers {
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.buffers.writer.Load(); got != 0 {
		t.Errorf("writers still have %d bytes", got)
	}
	for _, b := range blobs {
		wantBlob(t, s, b)
	}
}

// More segments than files may be open: those not in use are closed and opened
// again.
func TestFewOpenFiles(t *testing.T) {
	t.Parallel()
	s := openStore(t, small)
	s.fds.limit = 4
	blobs := blobsOf(200, 4000)
	var wg sync.WaitGroup
	for i := range blobs {
		mustPut(t, s, blobs[i])
		await(t, "sealing", func() bool { return !s.isSealing() })
	}
	for g := range 4 {
		wg.Go(func() {
			for i := range blobs {
				b := blobs[(i*7+g*50)%len(blobs)]
				r, err := s.Get(t.Context(), b.Key)
				if err != nil {
					t.Error(err)
					return
				}
				r.Close()
			}
		})
	}
	wg.Wait()
	s.fds.mu.Lock()
	open := len(s.fds.open)
	s.fds.mu.Unlock()
	if files := len(s.segs.all()); open > 12 || files < 14 {
		t.Errorf("%d of %d files are open", open, files)
	}
}

// Reads, overwrites, removals, eviction and carry-over at the same time, in the
// least possible room.
func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	s := openStore(t, Options{MaxBytes: 1 << 20, SegmentBytes: 64 << 10})
	var wg sync.WaitGroup
	for g := range 6 {
		wg.Go(func() {
			for i := range 400 {
				var err error
				switch name := fmt.Sprint(i % 17); (g + i) % 6 {
				case 0:
					err = s.Put(t.Context(), []blobstore.Blob{resultOf(name, "result "+name)})[0]
				case 1:
					err = s.Remove(t.Context(), resultOf(name, "").Key)
				case 2:
					err = checkRead(t, s, resultOf(name, "result "+name))
				case 3:
					err = checkRead(t, s, blobOf(3000, uint64(i%50)))
				default:
					err = s.Put(t.Context(), []blobstore.Blob{blobOf(3000+17_000*(i%7/6), uint64(i%50))})[0]
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	wantClean(t, s)
	if st := s.Stats(); st.DiskBytes > st.MaxBytes || st.CorruptBlobs > 0 {
		t.Errorf("stats are %+v", st)
	}
	var disk int64
	for _, path := range segmentFiles(t, s.opts.Dir) {
		if i, err := os.Stat(path); err == nil {
			disk += i.Size()
		}
	}
	if disk > s.opts.MaxBytes {
		t.Errorf("files have %d bytes", disk)
	}
}

func checkRead(t *testing.T, s *Store, b blobstore.Blob) error {
	got, err := read(t, s, b.Key)
	if errors.Is(err, blobstore.ErrNotFound) {
		return nil
	}
	if err == nil && string(got) != string(b.Data) {
		return fmt.Errorf("%v has wrong content", b.Key)
	}
	return err
}
