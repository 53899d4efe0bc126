package segment

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/larder-build/larder/server/blobstore"
)

// faults is a directory whose calls fail when fail says so. It is asked with
// the name of the call and how many there were before it.
type faults struct {
	osFiles
	mu    sync.Mutex
	calls int
	fail  func(call string, n int) error
}

func (f *faults) check(call string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.fail == nil {
		return nil
	}
	return f.fail(call, f.calls-1)
}

// set changes what fails, and counts from 0 again.
func (f *faults) set(fail func(call string, n int) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls, f.fail = 0, fail
}

func (f *faults) create(name string) (file, error) {
	if err := f.check("create"); err != nil {
		return nil, err
	}
	return f.wrap(f.osFiles.create(name))
}

func (f *faults) open(name string) (file, error) {
	if err := f.check("open"); err != nil {
		return nil, err
	}
	return f.wrap(f.osFiles.open(name))
}

func (f *faults) wrap(o file, err error) (file, error) {
	if err != nil {
		return nil, err
	}
	return &faultyFile{o, f}, nil
}

func (f *faults) rename(from, to string) error {
	return cmpFault(f.check("rename"), func() error { return f.osFiles.rename(from, to) })
}

func (f *faults) remove(name string) error {
	return cmpFault(f.check("remove"), func() error { return f.osFiles.remove(name) })
}

// sync and datasync do nothing but fail: no power fails in these tests.
func (f *faults) sync() error { return f.check("sync") }

func (f *faults) list() ([]string, error) {
	if err := f.check("list"); err != nil {
		return nil, err
	}
	return f.osFiles.list()
}

func (f *faults) free() (int64, int64, error) {
	if err := f.check("free"); err != nil {
		return 0, 0, err
	}
	return f.osFiles.free()
}

func cmpFault(fault error, call func() error) error {
	if fault != nil {
		return fault
	}
	return call()
}

type faultyFile struct {
	file
	f *faults
}

func (o *faultyFile) ReadAt(p []byte, at int64) (int, error) {
	if err := o.f.check("read"); err != nil {
		return 0, err
	}
	return o.file.ReadAt(p, at)
}

// WriteAt writes half before it fails.
func (o *faultyFile) WriteAt(p []byte, at int64) (int, error) {
	if err := o.f.check("write"); err != nil {
		n, _ := o.file.WriteAt(p[:len(p)/2], at)
		return n, err
	}
	return o.file.WriteAt(p, at)
}

func (o *faultyFile) size() (int64, error) {
	if err := o.f.check("size"); err != nil {
		return 0, err
	}
	return o.file.size()
}

func (o *faultyFile) truncate(n int64) error {
	return cmpFault(o.f.check("truncate"), func() error { return o.file.truncate(n) })
}

func (o *faultyFile) preallocate(at, n int64) error {
	return cmpFault(o.f.check("preallocate"), func() error { return o.file.preallocate(at, n) })
}

func (o *faultyFile) punch(at, n int64) error {
	return cmpFault(o.f.check("punch"), func() error { return o.file.punch(at, n) })
}

func (o *faultyFile) datasync() error { return o.f.check("datasync") }

// errDisk is what a disk that fails once tells.
var errDisk = &fs.PathError{Op: "test", Path: "disk", Err: syscall.EIO}

// life is a day in a store's life. It returns what was acknowledged. Errors
// must be those of the contract; what is read must be what was written.
func life(t *testing.T, o Options) (acked map[blobstore.Key][]byte) {
	t.Helper()
	acked = make(map[blobstore.Key][]byte)
	s, err := tryOpen(t, o)
	if err != nil {
		return acked
	}
	defer s.Close() // may fail, as any call
	put := func(b blobstore.Blob) {
		delete(acked, b.Key)
		if b.Key.Kind == blobstore.AC {
			acked[b.Key] = nil // unknown from now on, if it fails
		}
		if err := s.Put(t.Context(), []blobstore.Blob{b})[0]; err == nil {
			acked[b.Key] = b.Data
		} else {
			wantContractError(t, err)
		}
	}
	for i := range uint64(5) {
		put(blobOf(3000, i))
		put(resultOf(fmt.Sprint(i%3), fmt.Sprint("result ", i)))
		put(blobOf(40_000, 100+i))
		streamOrFail(t, s, blobOf(12_000, 200+i), acked)
		streamOrFail(t, s, blobOf(90_000, 300+i), acked)
	}
	if w, err := s.Create(t.Context(), blobOf(100_000, 999).Spec); err == nil {
		w.Write(make([]byte, 50_000))
		w.Abort()
	}
	if err := s.Remove(t.Context(), resultOf("1", "").Key); err == nil {
		delete(acked, resultOf("1", "").Key)
	} else {
		acked[resultOf("1", "").Key] = nil
	}
	for key, want := range acked {
		got, err := read(t, s, key)
		switch {
		case err != nil:
			wantContractError(t, err)
			delete(acked, key) // its bytes could not be read, so it was dropped
		case want != nil && string(got) != string(want):
			t.Errorf("wrong content of %v", key)
		}
	}
	return acked
}

func streamOrFail(t *testing.T, s *Store, b blobstore.Blob, acked map[blobstore.Key][]byte) {
	t.Helper()
	w, err := s.Create(t.Context(), b.Spec)
	if err != nil {
		wantContractError(t, err)
		return
	}
	defer w.Abort()
	if _, err := w.Write(b.Data); err != nil {
		wantContractError(t, err)
		return
	}
	if err := w.Commit(); err != nil {
		wantContractError(t, err)
		return
	}
	acked[b.Key] = b.Data
}

func wantContractError(t *testing.T, err error) {
	t.Helper()
	for _, known := range []error{blobstore.ErrUnavailable, blobstore.ErrNoSpace, blobstore.ErrCorrupt, blobstore.ErrNotFound} {
		if errors.Is(err, known) {
			return
		}
	}
	t.Errorf("error %v is none of the contract's", err)
}

// Each call to the file system fails once, in turn. Whatever happens then, a
// new start finds a store without a bad byte, with all that was acknowledged.
func TestEveryCallFailsOnce(t *testing.T) {
	t.Parallel()
	for _, mode := range []SyncMode{SyncInterval, SyncAlways} {
		for _, failure := range []error{errDisk, &fs.PathError{Op: "test", Path: "disk", Err: syscall.ENOSPC}} {
			calls := callsOfALife(t, mode)
			step := 1
			if testing.Short() {
				step = 7
			}
			for n := 0; n < calls; n += step {
				lifeWithFailure(t, mode, n, failure)
			}
		}
	}
}

func lifeOptions(t *testing.T, mode SyncMode) (Options, *faults) {
	f := &faults{osFiles: osFiles{t.TempDir()}}
	return Options{Dir: f.dir, MaxBytes: 4 << 20, SegmentBytes: 256 << 10, Sync: mode, fsys: f}, f
}

func callsOfALife(t *testing.T, mode SyncMode) int {
	o, f := lifeOptions(t, mode)
	life(t, o)
	return f.calls
}

func lifeWithFailure(t *testing.T, mode SyncMode, n int, failure error) {
	t.Helper()
	o, f := lifeOptions(t, mode)
	failed := ""
	f.set(func(call string, i int) error {
		if i != n {
			return nil
		}
		failed = call
		return failure
	})
	acked := life(t, o)
	f.set(nil)
	where := fmt.Sprintf("%v, call %d (%s) failed with %v", mode, n, failed, failure)
	s, err := tryOpen(t, o)
	if err != nil {
		t.Fatalf("%s: open: %v", where, err)
	}
	defer s.Close()
	if r, err := s.Scrub(t.Context()); err != nil || r.Dropped > 0 {
		t.Fatalf("%s: scrub: %v, report %+v", where, err, r)
	}
	for key, want := range acked {
		got, err := read(t, s, key)
		if want != nil && (err != nil || string(got) != string(want)) {
			t.Fatalf("%s: %v: %v", where, key, err)
		}
	}
}

// A full disk refuses writes, and nothing else; it is over when there is room.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	for name, full := range map[string]func(string, int) error{
		"preallocate": func(call string, _ int) error { return ifCall(call, syscall.ENOSPC, "preallocate", "create") },
		"write":       func(call string, _ int) error { return ifCall(call, syscall.ENOSPC, "write", "create") },
		"quota":       func(call string, _ int) error { return ifCall(call, syscall.EDQUOT, "write", "preallocate") },
		"file size":   func(call string, _ int) error { return ifCall(call, syscall.EFBIG, "write") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, f := lifeOptions(t, SyncInterval)
			s := openStore(t, o)
			before := blobsOf(20, 3000)
			mustPut(t, s, before...)
			f.set(full)
			refused := 0
			for i := range uint64(300) {
				err := s.Put(t.Context(), []blobstore.Blob{blobOf(10_000, 500+i)})[0]
				if errors.Is(err, blobstore.ErrNoSpace) {
					refused++
				} else if err != nil {
					t.Fatal(err)
				}
			}
			if refused < 200 {
				t.Errorf("%d of 300 writes were refused", refused)
			}
			w, err := s.Create(t.Context(), blobOf(200_000, 1).Spec)
			if err == nil {
				_, err = w.Write(blobOf(200_000, 1).Data)
				w.Abort()
			}
			if !errors.Is(err, blobstore.ErrNoSpace) {
				t.Errorf("a large write: %v", err)
			}
			for _, b := range before {
				wantBlob(t, s, b)
			}
			f.set(nil)
			after := append(blobsOf(5, 20_000), blobOf(200_000, 1))
			mustPut(t, s, after...)
			for _, b := range append(before, after...) {
				wantBlob(t, s, b)
			}
			wantClean(t, s)
			s2 := openStore(t, in(crash(t, o.Dir), o.again()))
			for _, b := range append(before, after...) {
				wantBlob(t, s2, b)
			}
		})
	}
}

func ifCall(call string, err error, calls ...string) error {
	if slices.Contains(calls, call) {
		return &fs.PathError{Op: call, Path: "disk", Err: err}
	}
	return nil
}

// Where the file system is nearly full, the store makes room.
func TestMinFreeBytes(t *testing.T) {
	t.Parallel()
	o := Options{Dir: t.TempDir(), MinFreeBytes: 1 << 20, SegmentBytes: 64 << 10}
	f := &nearlyFull{osFiles: osFiles{o.Dir}}
	o.fsys = f
	s := openStore(t, o)
	mustPut(t, s, blobsOf(200, 4000)...)
	if got := s.Stats(); got.EvictedBlobs != 0 {
		t.Fatalf("stats are %+v", got)
	}
	f.set(1 << 19)
	s.wakeEvictor()
	await(t, "eviction", func() bool { return len(s.segs.all()) <= 1 })
	f.set(1 << 40)
	mustPut(t, s, blobOf(4000, 1))
	wantBlob(t, s, blobOf(4000, 1))
}

type nearlyFull struct {
	osFiles
	mu    sync.Mutex
	bytes int64
}

func (f *nearlyFull) set(bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bytes = bytes
}

func (f *nearlyFull) free() (int64, int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bytes == 0 {
		return 1 << 40, 1 << 40, nil
	}
	return f.bytes, 1 << 40, nil
}

// A history of everything, in one thread, over many restarts and crashes, holds
// to what a map says.
func TestHistory(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			history(t, rand.New(rand.NewPCG(seed, 1)))
		})
	}
}

func history(t *testing.T, r *rand.Rand) {
	c := &clock{}
	o := Options{Dir: t.TempDir(), MaxBytes: 2 << 20, SegmentBytes: 128 << 10, Compress: r.IntN(2) == 0, now: c.now}
	model := make(map[blobstore.Key][]byte)
	s, err := tryOpen(t, o)
	if err != nil {
		t.Fatal(err)
	}
	for step := range 1500 {
		b := randomBlob(r)
		switch n := r.IntN(100); {
		case n < 40:
			mustPut(t, s, b)
			model[b.Key] = b.Data
		case n < 55:
			stream(t, s, b)
			model[b.Key] = b.Data
		case n < 60:
			w := mustCreate(t, s, b.Spec)
			if _, err := w.Write(b.Data[:len(b.Data)/2]); err != nil {
				t.Fatal(err)
			}
			w.Abort()
		case n < 70:
			if err := s.Remove(t.Context(), b.Key); err != nil {
				t.Fatal(err)
			}
			delete(model, b.Key)
		case n < 95:
			c.advance(1e9 * 60)
			checkAgainst(t, s, b.Key, model)
		case n < 97 && step%10 == 0:
			o.Dir = crash(t, o.Dir)
			mustClose(t, s)
			s = reopen(t, o, model)
		case n < 98:
			mustClose(t, s)
			s = reopen(t, o, model)
		}
	}
	wantClean(t, s)
	mustClose(t, s)
}

func reopen(t *testing.T, o Options, model map[blobstore.Key][]byte) *Store {
	t.Helper()
	s, err := tryOpen(t, o)
	if err != nil {
		t.Fatal(err)
	}
	for key := range model {
		checkAgainst(t, s, key, model)
	}
	return s
}

// checkAgainst allows that a blob was evicted, and nothing else.
func checkAgainst(t *testing.T, s *Store, key blobstore.Key, model map[blobstore.Key][]byte) {
	t.Helper()
	r, err := s.Get(t.Context(), key)
	if errors.Is(err, blobstore.ErrNotFound) {
		return
	}
	if err != nil {
		t.Fatalf("get %v: %v", key, err)
	}
	r.Close()
	want, ok := model[key]
	if !ok {
		t.Fatalf("%v is back", key)
	}
	if got := content(t, s, key); got != string(want) {
		t.Fatalf("%v has wrong content", key)
	}
}

func randomBlob(r *rand.Rand) blobstore.Blob {
	if r.IntN(4) == 0 {
		return resultOf(fmt.Sprint(r.IntN(20)), fmt.Sprint("result ", r.Uint64()))
	}
	sizes := []int{0, 1, 500, 500, 500, 4000, 4000, 17_000, 40_000, 70_000, 150_000}
	i := r.IntN(len(sizes))
	return blobOf(sizes[i], uint64(i*100+r.IntN(15)))
}
