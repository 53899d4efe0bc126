package httpcache

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/encoding"
)

func TestPutAndGet(t *testing.T) {
	t.Parallel()
	for _, fn := range digest.Supported() {
		for name, size := range sizes {
			for _, named := range []bool{false, true} {
				if fn == digest.SHA256Tree && !named {
					continue // has to be named
				}
				t.Run(fmt.Sprintf("%v/%s/named=%v", fn, name, named), func(t *testing.T) {
					t.Parallel()
					e := start(t, Options{})
					content := noise(size)
					path := "/team/one/cas/"
					if named {
						path += strings.ToLower(fn.String()) + "/"
					}
					path += digest.Of(fn, content).Hex()
					e.want(e.get(path), http.StatusNotFound, digest.Of(fn, content).Hex())
					e.want(e.put(path, content), http.StatusOK)
					e.wantStored(fn, content)
					a := e.get(path)
					e.wantBody(a, http.StatusOK, content)
					if a.length != int64(size) || a.header.Get("Content-Type") != octetStream {
						t.Errorf("length %d, headers %v", a.length, a.header)
					}
					a = e.do(http.MethodHead, path, nil)
					if a.code != http.StatusOK || a.length != int64(size) || len(a.body) != 0 {
						t.Errorf("HEAD: status %d, length %d", a.code, a.length)
					}
					e.want(e.put(path, content), http.StatusOK) // once more
				})
			}
		}
	}
}

// Bazel names no digest function in a path, so that only the content tells
// which one a hash of 64 digits is of. Whatever came before must not matter.
func TestContentProvesTheFunction(t *testing.T) {
	t.Parallel()
	e := start(t, Options{})
	n := 0
	for _, fn := range []digest.Function{digest.BLAKE3, digest.BLAKE3, digest.SHA256, digest.BLAKE3, digest.SHA256, digest.SHA1, digest.GITSHA1, digest.SHA256} {
		for _, size := range sizes {
			n++
			for _, chunked := range []bool{false, true} {
				content := noise(size + 2*n)
				if chunked {
					content = noise(size + 2*n + 1)
				}
				path := casPath(digest.Of(fn, content))
				if chunked {
					e.want(e.putChunked(path, content), http.StatusOK)
				} else {
					e.want(e.put(path, content), http.StatusOK)
				}
				e.wantStored(fn, content)
				e.wantBody(e.get(path), http.StatusOK, content)
			}
		}
	}
	if used := e.h.spools.used.Load(); used != 0 {
		t.Errorf("%d spooled bytes are left", used)
	}
}

// Where there is no room to keep a large upload while its function is found
// out, the first guess is tried, and a wrong one is not the client's fault.
func TestNoRoomToProve(t *testing.T) {
	t.Parallel()
	e := start(t, Options{MaxSpoolBytes: bufferSize})
	content := noise(sizes["large"])
	e.want(e.put(casPath(digest.Of(digest.SHA256, content)), content), http.StatusOK)
	a := e.put(casPath(digest.Of(digest.BLAKE3, content)), content)
	e.want(a, http.StatusServiceUnavailable, "digest function")
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	e.want(e.put("/cas/blake3/"+digest.Of(digest.BLAKE3, content).Hex(), content), http.StatusOK)

	e = start(t, Options{SpoolDir: "/nonexistent"})
	e.want(e.put(casPath(digest.Of(digest.SHA256, content)), content), http.StatusOK)
	e.want(e.put(casPath(digest.Of(digest.BLAKE3, content)), content), http.StatusServiceUnavailable)
	e.want(e.putChunked("/cas/sha256/"+digest.Of(digest.SHA256, noise(bufferSize+7)).Hex(), noise(bufferSize+7)), http.StatusInternalServerError, "spooling")
}

// Rule 1: the empty blob is there though nobody uploaded it, and uploading it
// works without a Content-Length.
func TestEmptyBlob(t *testing.T) {
	t.Parallel()
	e := start(t, Options{})
	for _, fn := range []digest.Function{digest.SHA256, digest.BLAKE3, digest.SHA1, digest.MD5, digest.GITSHA1} {
		path := casPath(digest.Empty(fn))
		e.wantBody(e.get(path), http.StatusOK, nil)
		if a := e.do(http.MethodHead, path, nil); a.code != http.StatusOK || a.length != 0 {
			t.Errorf("HEAD of %v's empty blob: %d, length %d", fn, a.code, a.length)
		}
		a := e.get(path, "Accept-Encoding: zstd")
		if got := e.decode(a.body, 0); a.header.Get("Content-Encoding") != "zstd" || len(got) != 0 {
			t.Errorf("%v's empty blob as zstd: %v, %d bytes", fn, a.header, len(got))
		}
		e.want(e.put(path, nil), http.StatusOK)
		e.want(e.putChunked(path, nil), http.StatusOK)
		if n := e.store.Stats().Blobs; n != 0 {
			t.Errorf("the store has %d blobs for what is always there", n)
		}
		e.want(e.put(path, []byte("x")), http.StatusBadRequest, digest.Of(fn, []byte("x")).Hex())
	}
}

// Rule 4: an upload that is not what its hash says is refused with what it is.
func TestPutMismatch(t *testing.T) {
	t.Parallel()
	for name, size := range sizes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := start(t, Options{})
			content, other := noise(size), text(size)
			want, got := digest.Of(digest.SHA256, content), digest.Of(digest.SHA256, other)
			e.want(e.put(casPath(want), other), http.StatusBadRequest, want.Hex(), got.Hex(), digest.Of(digest.BLAKE3, other).Hex())
			e.want(e.putChunked(casPath(want), other), http.StatusBadRequest, want.Hex(), got.Hex())
			e.want(e.put("/cas/sha256/"+want.Hex(), other), http.StatusBadRequest, want.Hex(), got.Hex())
			e.want(e.get(casPath(want)), http.StatusNotFound)
			e.want(e.put(casPath(want), content), http.StatusOK)
			// It is verified even if the blob is there already.
			e.want(e.put(casPath(want), other), http.StatusBadRequest, want.Hex(), got.Hex())
			e.wantBody(e.get(casPath(want)), http.StatusOK, content)
		})
	}
}

func TestPutOfStoredBlobWritesNothing(t *testing.T) {
	t.Parallel()
	e := start(t, Options{})
	content := noise(sizes["large"])
	path := casPath(digest.Of(digest.SHA256, content))
	e.want(e.put(path, content), http.StatusOK)
	before := e.store.creates.Load()
	e.want(e.put(path, content), http.StatusOK)
	if e.store.creates.Load() != before {
		t.Error("a stored blob was written again")
	}
}

func TestZstdUpload(t *testing.T) {
	t.Parallel()
	for name, size := range sizes {
		for _, fn := range []digest.Function{digest.SHA256, digest.BLAKE3} {
			for _, told := range []bool{true, false} {
				for _, chunked := range []bool{true, false} {
					for kind, content := range map[string][]byte{"noise": noise(size), "text": text(size)} {
						t.Run(fmt.Sprintf("%s/%v/told=%v/chunked=%v/%s", name, fn, told, chunked, kind), func(t *testing.T) {
							t.Parallel()
							e := start(t, Options{})
							path := casPath(digest.Of(fn, content))
							headers := []string{"Content-Encoding: zstd"}
							if told {
								headers = append(headers, sizeHeader+": "+strconv.Itoa(size))
							}
							put := e.put
							if chunked {
								put = e.putChunked
							}
							body := encoding.AppendCompressed(nil, content)
							e.want(put(path, body, headers...), http.StatusOK)
							e.wantStored(fn, content)
							e.wantBody(e.get(path), http.StatusOK, content)
							a := e.get(path, "Accept-Encoding: zstd,gzip")
							if !bytes.Equal(a.body, body) || a.header.Get("Content-Encoding") != "zstd" {
								t.Errorf("stored zstd comes back as %d bytes, Content-Encoding %q, want the %d that were sent", len(a.body), a.header.Get("Content-Encoding"), len(body))
							}
						})
					}
				}
			}
		}
	}
}

func TestZstdUploadRefused(t *testing.T) {
	t.Parallel()
	for name, size := range sizes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := start(t, Options{})
			content := noise(size)
			path := casPath(digest.Of(digest.SHA256, content))
			body := encoding.AppendCompressed(nil, content)
			zstd, right := "Content-Encoding: zstd", sizeHeader+": "+strconv.Itoa(size)
			e.want(e.put(path, body, zstd, sizeHeader+": "+strconv.Itoa(size-1)), http.StatusBadRequest)
			e.want(e.put(path, body, zstd, sizeHeader+": "+strconv.Itoa(size+1)), http.StatusBadRequest)
			e.want(e.put(path, body, zstd, sizeHeader+": -1"), http.StatusBadRequest, sizeHeader)
			e.want(e.put(path, body, zstd, sizeHeader+": many"), http.StatusBadRequest, `"many"`)
			creates := e.store.creates.Load()
			e.want(e.put(path, content, zstd, right), http.StatusBadRequest)
			if n := e.store.creates.Load() - creates; n > 1 && size > bufferSize {
				t.Errorf("what is no zstd was tried as the blob of %d digest functions", n)
			}
			e.want(e.put(path, content, zstd), http.StatusBadRequest)
			e.want(e.put(path, body[:len(body)-3], zstd, right), http.StatusBadRequest)
			e.want(e.put(path, body[:len(body)-3], zstd), http.StatusBadRequest)
			e.want(e.put(path, body, right), http.StatusBadRequest, sizeHeader)
			e.want(e.put(path, body, "Content-Encoding: gzip"), http.StatusUnsupportedMediaType, "gzip")
			e.want(e.get(path), http.StatusNotFound)
		})
	}
}

// Rule 14: a blob is served in every encoding, whatever it is stored in.
func TestEncodings(t *testing.T) {
	t.Parallel()
	for name, size := range sizes {
		for _, stored := range []blobstore.Encoding{blobstore.Identity, blobstore.Zstd} {
			t.Run(fmt.Sprintf("%s/%v", name, stored), func(t *testing.T) {
				t.Parallel()
				e := start(t, Options{})
				content := text(size)
				d := e.keep(content, stored)
				plain, packed := e.get(casPath(d)), e.get(casPath(d), "Accept-Encoding: zstd")
				e.wantBody(plain, http.StatusOK, content)
				if got := e.decode(packed.body, size); !bytes.Equal(got, content) || packed.header.Get("Content-Encoding") != "zstd" {
					t.Errorf("as zstd: %v, decodes to %d bytes", packed.header, len(got))
				}
				if packed.header.Get(sizeHeader) != strconv.Itoa(size) {
					t.Errorf("as zstd: headers %v", packed.header)
				}
				for _, a := range []answer{plain, packed} {
					if a.header.Get("Vary") != "Accept-Encoding" {
						t.Errorf("headers %v", a.header)
					}
				}
				if plain.header.Get("Etag") != `"`+d.Hex()+`"` || packed.header.Get("Etag") != `"`+d.Hex()+`-zstd"` {
					t.Errorf("entity tags %q and %q", plain.header.Get("Etag"), packed.header.Get("Etag"))
				}
				if plain.length != int64(size) || plain.header.Get("Accept-Ranges") != "bytes" {
					t.Errorf("length %d, headers %v", plain.length, plain.header)
				}
				a := e.do(http.MethodHead, casPath(d), nil, "Accept-Encoding: zstd")
				if a.code != http.StatusOK || a.header.Get("Content-Encoding") != "zstd" || len(a.body) > 0 {
					t.Errorf("HEAD as zstd: %d %v", a.code, a.header)
				}
				e.want(e.get(casPath(d), "Accept-Encoding: identity;q=0"), http.StatusNotAcceptable, "identity;q=0")
			})
		}
	}
}

func TestRanges(t *testing.T) {
	t.Parallel()
	size := sizes["large"]
	content := text(size)
	for _, stored := range []blobstore.Encoding{blobstore.Identity, blobstore.Zstd} {
		t.Run(stored.String(), func(t *testing.T) {
			t.Parallel()
			e := start(t, Options{})
			path := casPath(e.keep(content, stored))
			for _, tt := range []struct {
				header   string
				from, to int // [from, to)
			}{
				{"bytes=0-0", 0, 1},
				{"bytes=5-9", 5, 10},
				{"bytes=300000-", 300000, size},
				{"bytes=-7", size - 7, size},
				{"bytes=0-9999999", 0, size},
				{"bytes=100000-599999", 100000, 600000},
			} {
				a := e.get(path, "Range: "+tt.header, "Accept-Encoding: zstd")
				e.wantBody(a, http.StatusPartialContent, content[tt.from:tt.to])
				want := fmt.Sprintf("bytes %d-%d/%d", tt.from, tt.to-1, size)
				if a.header.Get("Content-Range") != want || a.length != int64(tt.to-tt.from) || a.header.Get("Content-Encoding") != "" {
					t.Errorf("%s: headers %v, want Content-Range %q", tt.header, a.header, want)
				}
			}
			for _, ignored := range []string{"bytes=0-1,5-6", "lines=1-2", "bytes=9-5", "bytes=x"} {
				e.wantBody(e.get(path, "Range: "+ignored), http.StatusOK, content)
			}
			for _, outside := range []string{fmt.Sprintf("bytes=%d-", size), "bytes=-0"} {
				a := e.get(path, "Range: "+outside)
				e.want(a, http.StatusRequestedRangeNotSatisfiable, outside)
				if want := fmt.Sprintf("bytes */%d", size); a.header.Get("Content-Range") != want {
					t.Errorf("%s: Content-Range %q, want %q", outside, a.header.Get("Content-Range"), want)
				}
			}
			// Who does not take identity gets no part of it.
			a := e.get(path, "Range: bytes=0-0", "Accept-Encoding: zstd, identity;q=0")
			if a.code != http.StatusOK || a.header.Get("Content-Encoding") != "zstd" {
				t.Errorf("range without identity: %d %v", a.code, a.header)
			}
		})
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	e := start(t, Options{})
	content := text(1000)
	d := e.keep(content, blobstore.Identity)
	tag := `"` + d.Hex() + `"`
	part := "Range: bytes=1-3"
	e.wantBody(e.get(casPath(d), part, "If-Range: "+tag), http.StatusPartialContent, content[1:4])
	e.wantBody(e.get(casPath(d), part, `If-Range: "other"`), http.StatusOK, content)
	e.wantBody(e.get(casPath(d), part, "If-Range: W/"+tag), http.StatusOK, content)
	e.wantBody(e.get(casPath(d), part, "If-Range: Wed, 21 Oct 2015 07:28:00 GMT"), http.StatusOK, content)
	e.wantBody(e.get(casPath(d), "If-None-Match: "+tag), http.StatusNotModified, nil)
	e.wantBody(e.get(casPath(d), `If-None-Match: "x", W/`+tag), http.StatusNotModified, nil)
	e.wantBody(e.get(casPath(d), `If-None-Match: "x"`), http.StatusOK, content)
	absent := casPath(digest.Of(digest.SHA256, []byte("absent")))
	e.want(e.get(absent, "If-None-Match: *"), http.StatusNotFound)
	e.want(e.get(absent, part), http.StatusNotFound)
}
