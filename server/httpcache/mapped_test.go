package httpcache

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/segment"
)

// TestMappedBodies gets a large blob often enough that it is sent out of the
// store's mapping, in whole and in part, and then changes it on the disk.
func TestMappedBodies(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store, err := segment.Open(t.Context(), segment.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	e := startOver(t, store, Options{})
	content := noise(5<<20 + 3)
	d := digest.Of(digest.SHA256, content)
	path := "/cas/" + d.Hex()
	if got := e.do(http.MethodPut, path, bytes.NewReader(content)); got.code != http.StatusOK {
		t.Fatalf("PUT: %d", got.code)
	}
	for range 3 {
		if got := e.do(http.MethodGet, path, nil); got.code != http.StatusOK || got.err != nil || !bytes.Equal(got.body, content) {
			t.Fatalf("GET: %d, %d bytes, %v", got.code, len(got.body), got.err)
		}
	}
	if got := e.do(http.MethodGet, path, nil, "Range: bytes=1000001-"); got.code != http.StatusPartialContent || !bytes.Equal(got.body, content[1000001:]) {
		t.Fatalf("GET of a part: %d, %d bytes, %v", got.code, len(got.body), got.err)
	}
	if !vouched(t, store, d) {
		t.Fatal("the store does not vouch for a blob that was just read: this test tests nothing")
	}
	flipIn(t, dir, content[4<<20:4<<20+64])
	got := e.do(http.MethodGet, path, nil)
	if got.err == nil && got.code == http.StatusOK {
		t.Fatal("a changed blob was served")
	}
	if got := e.do(http.MethodGet, path, nil); got.code != http.StatusNotFound {
		t.Fatalf("GET of what was dropped: %d", got.code)
	}
}

// A short rest of a mapped body would be copied into net/http's buffers, which
// ends the program if the disk fails then.
func TestMappedStepsAreLong(t *testing.T) {
	t.Parallel()
	for _, n := range []int{mappedStep, mappedStep + 1, 2*mappedStep - 1, 2 * mappedStep, 3*mappedStep + 5} {
		w := &stepWriter{ResponseRecorder: httptest.NewRecorder()}
		(&Handler{}).sendMapped(w, httptest.NewRequest(http.MethodGet, "/", nil), make([]byte, n))
		sum := 0
		for _, step := range w.steps {
			if sum += step; step < mappedStep {
				t.Errorf("a step of %d bytes, of %d", step, n)
			}
		}
		if sum != n {
			t.Errorf("%d bytes sent, of %d", sum, n)
		}
	}
}

type stepWriter struct {
	*httptest.ResponseRecorder
	steps []int
}

func (w *stepWriter) Write(p []byte) (int, error) {
	w.steps = append(w.steps, len(p))
	return len(p), nil
}

func vouched(t *testing.T, store blobstore.Store, d digest.Digest) bool {
	t.Helper()
	r, err := store.Get(t.Context(), blobstore.Namespace{}.CAS("", d))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	return r.(blobstore.MappedReader).Mapped(d.Size()) != nil
}

// flipIn changes a bit of those bytes in whichever file of the folder has them.
func flipIn(t *testing.T, dir string, sought []byte) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(b, sought)
		if at < 0 {
			continue
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt([]byte{sought[0] ^ 1}, int64(at)); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatal("the blob's bytes are in no file")
}
