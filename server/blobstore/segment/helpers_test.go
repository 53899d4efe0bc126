package segment

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/encoding"
	"github.com/larder-build/larder/server/blobstore/storetest"
)

// blobOf returns a CAS blob of n bytes; equal seeds make equal ones.
func blobOf(n int, seed uint64) blobstore.Blob {
	c := storetest.Content(n, seed)
	return blobstore.Blob{Spec: blobstore.Spec{Key: storetest.CAS(c), Size: int64(n)}, Data: c}
}

// resultOf returns an action result with that content.
func resultOf(name, content string) blobstore.Blob {
	return blobstore.Blob{Spec: blobstore.Spec{Key: storetest.AC("", name), Size: int64(len(content))}, Data: []byte(content)}
}

func blobsOf(count, size int) []blobstore.Blob {
	blobs := make([]blobstore.Blob, count)
	for i := range blobs {
		blobs[i] = blobOf(size, uint64(i)+1)
	}
	return blobs
}

func mustPut(t testing.TB, s *Store, blobs ...blobstore.Blob) {
	t.Helper()
	for i, err := range s.Put(t.Context(), blobs) {
		if err != nil {
			t.Fatalf("put %v: %v", blobs[i].Key, err)
		}
	}
}

// stream writes a blob through Create.
func stream(t testing.TB, s *Store, b blobstore.Blob) {
	t.Helper()
	w := mustCreate(t, s, b.Spec)
	defer w.Abort()
	for p := range slices.Chunk(b.Data, 16<<10) {
		if _, err := w.Write(p); err != nil {
			t.Fatalf("write %v: %v", b.Key, err)
		}
	}
	if err := w.Commit(); err != nil {
		t.Fatalf("commit %v: %v", b.Key, err)
	}
}

func mustCreate(t testing.TB, s *Store, spec blobstore.Spec) blobstore.Writer {
	t.Helper()
	w, err := s.Create(t.Context(), spec)
	if err != nil {
		t.Fatalf("create %v: %v", spec.Key, err)
	}
	return w
}

func read(t testing.TB, s *Store, key blobstore.Key) ([]byte, error) {
	t.Helper()
	r, err := s.Get(t.Context(), key)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// wantBlob checks that the blob is there, byte for byte.
func wantBlob(t testing.TB, s *Store, b blobstore.Blob) {
	t.Helper()
	got, err := read(t, s, b.Key)
	if err != nil {
		t.Fatalf("get %v: %v", b.Key, err)
	}
	if !bytes.Equal(got, b.Data) {
		t.Fatalf("get %v: wrong content", b.Key)
	}
}

func wantError(t testing.TB, s *Store, key blobstore.Key, want error) {
	t.Helper()
	if _, err := read(t, s, key); !errors.Is(err, want) {
		t.Fatalf("get %v: error is %v, want %v", key, err, want)
	}
}

// wantClean scrubs the store and wants nothing bad.
func wantClean(t testing.TB, s *Store) ScrubReport {
	t.Helper()
	r, err := s.Scrub(t.Context())
	if err != nil || r.Dropped > 0 {
		t.Fatalf("scrub: %v, report %+v", err, r)
	}
	return r
}

// tryOpen opens a store that the test closes itself, or expects not to open.
func tryOpen(t testing.TB, opts Options) (*Store, error) {
	t.Helper()
	return Open(t.Context(), opts)
}

func mustClose(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// crash returns a copy of the store's directory as it is now, which is what
// is left if the process is killed.
func crash(t testing.TB, dir string) string {
	t.Helper()
	for {
		copied := t.TempDir()
		err := os.CopyFS(copied, os.DirFS(dir))
		if err == nil {
			return copied
		}
		if !errors.Is(err, fs.ErrNotExist) { // evicted before it was copied
			t.Fatal(err)
		}
	}
}

// segmentFiles returns the paths of the segments, the oldest first.
func segmentFiles(t testing.TB, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(paths)
	return paths
}

func readAll(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeAll(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// flip changes one bit of a file.
func flip(t testing.TB, path string, offset int64) {
	t.Helper()
	b := readAll(t, path)
	b[offset] ^= 0x10
	writeAll(t, path, b)
}

// await polls until the condition holds.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline, tick := time.After(20*time.Second), time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// clock is a clock that stands until it is moved.
type clock struct{ minutes atomic.Int64 }

func (c *clock) now() time.Time {
	return minuteZero.Add(time.Duration(1_000_000+c.minutes.Load()) * time.Minute)
}

func (c *clock) advance(d time.Duration) { c.minutes.Add(int64(d / time.Minute)) }

// locate returns where a blob's record is.
func locate(t testing.TB, s *Store, key blobstore.Key) (*segment, int64, header) {
	t.Helper()
	sl, ok := s.index.get(s.ident.key.tag(&key))
	if !ok {
		t.Fatalf("%v is not in the index", key)
	}
	h, ok := s.headerAt(sl.loc)
	if !ok {
		t.Fatalf("%v has no header", key)
	}
	return s.segs.get(sl.loc.segment()), sl.loc.offset(), h
}

func wantMessage(t testing.TB, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
}

// content returns a blob as it was written, whatever form it is stored in.
func content(t testing.TB, s *Store, key blobstore.Key) string {
	t.Helper()
	c, err := encoding.Open(t.Context(), s, key, encoding.Request{})
	if err != nil {
		t.Fatalf("open %v: %v", key, err)
	}
	defer c.Close()
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("read %v: %v", key, err)
	}
	return string(b)
}
