package httpcache

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/memory"
)

func benchServer(b *testing.B, content []byte) (url string, cl *http.Client) {
	b.Helper()
	store := memory.New(memory.Options{})
	d := digest.Of(digest.SHA256, content)
	blob := blobstore.Blob{Spec: blobstore.Spec{Key: blobstore.Namespace{}.CAS("", d), Size: d.Size()}, Data: content}
	if err := store.Put(b.Context(), []blobstore.Blob{blob})[0]; err != nil {
		b.Fatal(err)
	}
	srv := httptest.NewServer(New(Options{Store: store, SpoolDir: b.TempDir()}))
	b.Cleanup(srv.Close)
	return srv.URL, srv.Client()
}

func roundTrip(b *testing.B, cl *http.Client, method, url string, body []byte) {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	resp, err := cl.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b.Fatal(resp.Status)
	}
}

// Client and server are in one process, so a figure is the cost of both.
func BenchmarkGet(b *testing.B) {
	for _, size := range []int{1 << 10, 32 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			content := noise(size)
			url, cl := benchServer(b, content)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				roundTrip(b, cl, http.MethodGet, url+casPath(digest.Of(digest.SHA256, content)), nil)
			}
		})
	}
}

// A blob that is new each time: unnamed, so that a large one is spooled too, and
// with its digest function named.
func BenchmarkPut(b *testing.B) {
	for _, prefix := range []string{"/cas/", "/cas/sha256/"} {
		for _, size := range []int{1 << 10, 32 << 20} {
			b.Run(fmt.Sprint(prefix, size), func(b *testing.B) {
				content := noise(size)
				url, cl := benchServer(b, content)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					copy(content, fmt.Sprintf("%16d", i))
					roundTrip(b, cl, http.MethodPut, url+prefix+digest.Of(digest.SHA256, content).Hex(), content)
				}
			})
		}
	}
}
