package httpcache

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/encoding"
	"github.com/larder-build/larder/server/blobstore/memory"
)

// The sizes of bodies that take different ways: one write, a small buffer's
// end, a large buffer's end, a stream.
var sizes = map[string]int{
	"tiny": 5, "small": smallBufferSize, "below the buffer": bufferSize - 1, "the buffer": bufferSize, "large": 700_001,
}

// noise returns n bytes that do not compress, always the same.
func noise(n int) []byte {
	b := make([]byte, n)
	random := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)})
	_, _ = random.Read(b) // never fails
	return b
}

// text returns n bytes that compress well.
func text(n int) []byte { return bytes.Repeat([]byte("larder "), n/7+1)[:n] }

// env is a server over real connections.
type env struct {
	t     *testing.T
	url   string
	store *faultyStore
	cl    *http.Client
	h     *Handler
}

func start(t *testing.T, opts Options) *env {
	t.Helper()
	store := &faultyStore{Store: memory.New(memory.Options{})}
	e := startOver(t, store, opts)
	e.store = store
	return e
}

// startOver is start with a store of the test's own.
func startOver(t *testing.T, store blobstore.Store, opts Options) *env {
	t.Helper()
	opts.Store = store
	if opts.SpoolDir == "" {
		opts.SpoolDir = t.TempDir()
	}
	h := New(opts)
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ReadHeaderTimeout = time.Minute
	srv.Start()
	t.Cleanup(srv.Close)
	tr := &http.Transport{DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &env{t: t, url: srv.URL, cl: &http.Client{Transport: tr}, h: h}
}

// answer is a response that was read to its end.
type answer struct {
	code   int
	header http.Header
	body   []byte
	err    error // of reading the body
	length int64
}

// do sends a request. Headers are "Name: value".
func (e *env) do(method, path string, body io.Reader, headers ...string) answer {
	e.t.Helper()
	req, err := http.NewRequestWithContext(e.t.Context(), method, e.url+path, body)
	if err != nil {
		e.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := e.cl.Do(req)
	if err != nil {
		e.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	a := answer{code: resp.StatusCode, header: resp.Header, length: resp.ContentLength}
	a.body, a.err = io.ReadAll(resp.Body)
	return a
}

func (e *env) get(path string, headers ...string) answer {
	e.t.Helper()
	return e.do(http.MethodGet, path, nil, headers...)
}

func (e *env) put(path string, body []byte, headers ...string) answer {
	e.t.Helper()
	return e.do(http.MethodPut, path, bytes.NewReader(body), headers...)
}

// putChunked sends a body without telling its length.
func (e *env) putChunked(path string, body []byte, headers ...string) answer {
	e.t.Helper()
	return e.do(http.MethodPut, path, io.MultiReader(bytes.NewReader(body)), headers...)
}

func (e *env) want(a answer, code int, words ...string) {
	e.t.Helper()
	if a.code != code {
		e.t.Errorf("status %d %.300q, want %d", a.code, a.body, code)
	}
	for _, w := range words {
		if !strings.Contains(string(a.body), w) {
			e.t.Errorf("body %.300q does not say %q", a.body, w)
		}
	}
}

func (e *env) wantBody(a answer, code int, body []byte) {
	e.t.Helper()
	if a.code != code || a.err != nil || !bytes.Equal(a.body, body) {
		e.t.Errorf("status %d, %d bytes %.80q, error %v, want %d, %d bytes", a.code, len(a.body), a.body, a.err, code, len(body))
	}
}

// wantStored checks that the CAS has the blob, and under that function.
func (e *env) wantStored(fn digest.Function, content []byte) {
	e.t.Helper()
	key := blobstore.Namespace{}.CAS("", digest.Of(fn, content))
	missing, err := e.store.FindMissing(e.t.Context(), []blobstore.Key{key})
	if err != nil || len(missing) > 0 {
		e.t.Errorf("%v is not stored: %v", key, err)
	}
}

// store puts content straight into the store.
func (e *env) keep(content []byte, enc blobstore.Encoding) digest.Digest {
	e.t.Helper()
	d := digest.Of(digest.SHA256, content)
	b := blobstore.Blob{Spec: blobstore.Spec{Key: blobstore.Namespace{}.CAS("", d), Size: d.Size(), Encoding: enc}, Data: content}
	if enc == blobstore.Zstd {
		b.Data = encoding.AppendCompressed(nil, content)
	}
	if err := e.store.Put(e.t.Context(), []blobstore.Blob{b})[0]; err != nil {
		e.t.Fatal(err)
	}
	return d
}

func casPath(d digest.Digest) string { return "/cas/" + d.Hex() }

// decode returns the content of zstd that holds size bytes.
func (e *env) decode(data []byte, size int) []byte {
	e.t.Helper()
	content, err := encoding.AppendDecompressed(nil, data, int64(size))
	if err != nil {
		e.t.Errorf("response is no zstd: %v", err)
	}
	return content
}

// faultyStore fails where it is told to. It is set before it is used.
type faultyStore struct {
	*memory.Store

	getErr, missingErr, putErr, createErr error
	// badAfter makes every read past so many bytes of a blob ErrCorrupt.
	badAfter int
	// closed gets a value whenever a reader is closed.
	closed  chan struct{}
	creates atomic.Int64
}

func (s *faultyStore) Get(ctx context.Context, key blobstore.Key) (blobstore.Reader, error) {
	if s.getErr != nil {
		return nil, s.getErr
	}
	r, err := s.Store.Get(ctx, key)
	if err == nil && (s.badAfter > 0 || s.closed != nil) {
		return &faultyReader{r, s, s.badAfter}, nil
	}
	return r, err
}

func (s *faultyStore) FindMissing(ctx context.Context, keys []blobstore.Key) ([]int, error) {
	if s.missingErr != nil {
		return nil, s.missingErr
	}
	return s.Store.FindMissing(ctx, keys)
}

func (s *faultyStore) Put(ctx context.Context, blobs []blobstore.Blob) []error {
	if s.putErr != nil {
		errs := make([]error, len(blobs))
		for i := range errs {
			errs[i] = s.putErr
		}
		return errs
	}
	return s.Store.Put(ctx, blobs)
}

func (s *faultyStore) Create(ctx context.Context, spec blobstore.Spec) (blobstore.Writer, error) {
	s.creates.Add(1)
	if s.createErr != nil {
		return nil, s.createErr
	}
	return s.Store.Create(ctx, spec)
}

type faultyReader struct {
	blobstore.Reader

	s    *faultyStore
	left int
}

func (r *faultyReader) Read(p []byte) (int, error) {
	if r.s.badAfter == 0 {
		return r.Reader.Read(p)
	}
	if r.left == 0 {
		return 0, blobstore.ErrCorrupt
	}
	n, err := r.Reader.Read(p[:min(len(p), r.left)])
	r.left -= n
	return n, err
}

func (r *faultyReader) Close() error {
	if r.s.closed != nil {
		select {
		case r.s.closed <- struct{}{}:
		default:
		}
	}
	return r.Reader.Close()
}
