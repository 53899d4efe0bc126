package httpcache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/server/actioncache"
	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/encoding"
)

func TestStatusOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want int
	}{
		{blobstore.ErrNotFound, 404},
		{blobstore.ErrCorrupt, 500},
		{blobstore.ErrUnavailable, 503},
		{blobstore.ErrClosed, 503},
		{blobstore.ErrNoSpace, 507},
		{blobstore.ErrTooLarge, 413},
		{&blobstore.MismatchError{}, 400},
		{&actioncache.InvalidError{}, 400},
		{encoding.ErrOffset, 416},
		{context.Canceled, 503},
		{context.DeadlineExceeded, 503},
		{errors.New("disk on fire"), 500},
		{refuse(http.StatusTeapot, "no"), 418},
		{fmt.Errorf("%w: %w", blobstore.ErrUnavailable, blobstore.ErrNotFound), 503},
		{fmt.Errorf("%w: %w", blobstore.ErrCorrupt, blobstore.ErrNotFound), 500},
	} {
		for _, err := range []error{tt.err, fmt.Errorf("wrapped: %w", tt.err)} {
			if got := statusOf(err); got != tt.want {
				t.Errorf("statusOf(%v) = %d, want %d", err, got, tt.want)
			}
		}
	}
}

// What a store answers must reach the client as what it is, and never as a
// miss.
func TestStoreErrors(t *testing.T) {
	t.Parallel()
	content, large := text(100), text(sizes["large"])
	d, l := digest.Of(digest.SHA256, content), digest.Of(digest.SHA256, large)
	for _, tt := range []struct {
		err  error
		want int
		text string
	}{
		{blobstore.ErrNoSpace, 507, "no space"},
		{blobstore.ErrTooLarge, 413, "too large"},
		{blobstore.ErrUnavailable, 503, "unavailable"},
		{blobstore.ErrCorrupt, 500, "corrupt"},
		{errors.New("disk on fire"), 500, "disk on fire"},
	} {
		t.Run(tt.err.Error(), func(t *testing.T) {
			t.Parallel()
			e := start(t, Options{})
			e.store.getErr, e.store.putErr, e.store.createErr = tt.err, tt.err, tt.err
			for _, a := range []answer{e.get(casPath(d)), e.put(casPath(d), content), e.put(casPath(l), large), e.putChunked(casPath(l), large)} {
				e.want(a, tt.want, tt.text)
				if (a.header.Get("Retry-After") != "") != (tt.want == 503) {
					t.Errorf("status %d with Retry-After %q", a.code, a.header.Get("Retry-After"))
				}
			}
			if a := e.do(http.MethodHead, casPath(d), nil); a.code != tt.want {
				t.Errorf("HEAD: %d, want %d", a.code, tt.want)
			}
			e.store.missingErr = tt.err
			e.want(e.put(casPath(d), content), tt.want, tt.text)
			e.want(e.get("/ac/"+d.Hex()), tt.want, tt.text)
		})
	}
}

// No byte that the store finds corrupt, and no end before the end.
func TestCorruptBlob(t *testing.T) {
	t.Parallel()
	e := start(t, Options{})
	content := noise(sizes["large"])
	d := e.keep(content, blobstore.Identity)
	e.store.badAfter = 1000
	e.want(e.get(casPath(d)), http.StatusInternalServerError, "corrupt")

	e.store.badAfter = bufferSize + 1000
	for _, headers := range [][]string{{}, {"Accept-Encoding: zstd"}} {
		a := e.get(casPath(d), headers...)
		if a.code == http.StatusOK && a.err == nil {
			t.Errorf("a blob that is corrupt in the middle was served as %d whole bytes, %v", len(a.body), a.header)
		}
		if len(headers) == 0 && !bytes.HasPrefix(content, a.body) {
			t.Error("wrong bytes were served")
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	e := start(t, Options{MaxBlobSize: 1000})
	for _, size := range []int{1000, 1001, 300_000, 700_000} {
		content := text(size)
		path := casPath(digest.Of(digest.SHA256, content))
		want := http.StatusOK
		if size > 1000 {
			want = http.StatusRequestEntityTooLarge
		}
		packed := encoding.AppendCompressed(nil, content)
		e.want(e.put(path, content), want)
		e.want(e.putChunked(path, content), want)
		e.want(e.put(path, packed, "Content-Encoding: zstd"), want)
		e.want(e.put(path, packed, "Content-Encoding: zstd", fmt.Sprintf("%s: %d", sizeHeader, size)), want)
	}
}

func TestSpoolIsBounded(t *testing.T) {
	t.Parallel()
	e := start(t, Options{MaxSpoolBytes: 600_000})
	content := noise(sizes["large"])
	path := "/cas/sha256/" + digest.Of(digest.SHA256, content).Hex()
	e.want(e.putChunked(path, content), http.StatusServiceUnavailable, "Content-Length", sizeHeader)
	e.want(e.putChunked(path, content, fmt.Sprintf("%s: %d", sizeHeader, len(content))), http.StatusOK)
	smaller := content[:500_000]
	for range 3 {
		e.want(e.putChunked("/cas/sha256/"+digest.Of(digest.SHA256, smaller).Hex(), smaller), http.StatusOK)
	}
	if used := e.h.spools.used.Load(); used != 0 {
		t.Errorf("%d spooled bytes are left", used)
	}
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	e := start(t, Options{ReadOnly: true})
	d := e.keep(text(10), blobstore.Identity)
	e.want(e.put(casPath(d), text(10)), http.StatusForbidden, "no uploads")
	e.want(e.put("/ac/"+d.Hex(), nil), http.StatusForbidden)
	e.wantBody(e.get(casPath(d)), http.StatusOK, text(10))
}

func TestMethodsAndPaths(t *testing.T) {
	t.Parallel()
	e := start(t, Options{})
	path := casPath(digest.Of(digest.SHA256, nil))
	for _, method := range []string{http.MethodPost, http.MethodDelete, http.MethodPatch, http.MethodOptions, "PROPFIND"} {
		a := e.do(method, path, nil)
		e.want(a, http.StatusMethodNotAllowed, method)
		if a.header.Get("Allow") != "GET, HEAD, PUT" {
			t.Errorf("%s: Allow %q", method, a.header.Get("Allow"))
		}
	}
	e.want(e.get("/cas/short"), http.StatusBadRequest, "5 hex digits", pathForm)
	e.want(e.get("/favicon.ico"), http.StatusBadRequest, pathForm)
	e.want(e.get("/a/uploads"+path), http.StatusBadRequest, "reserved")
}

func TestFailuresAreLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	e := start(t, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	e.store.getErr = errors.New("disk on fire")
	e.want(e.get(casPath(digest.Of(digest.SHA256, []byte("x")))), 500)
	if !strings.Contains(log.String(), "disk on fire") {
		t.Errorf("log %q does not tell the failure", log.String())
	}
	log.Reset()
	e.store.getErr = blobstore.ErrNotFound
	e.want(e.get(casPath(digest.Of(digest.SHA256, []byte("x")))), 404)
	if log.Len() > 0 {
		t.Errorf("a miss was logged: %s", log.String())
	}
}
