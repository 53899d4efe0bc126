package httpcache

import (
	"net/http"
	"testing"

	"github.com/larder-build/larder/server/blobstore"
)

func TestAcceptedEncoding(t *testing.T) {
	t.Parallel()
	const refused = blobstore.Encoding(99)
	for header, want := range map[string]blobstore.Encoding{
		"":                              blobstore.Identity,
		"gzip":                          blobstore.Identity,
		"gzip, deflate, br":             blobstore.Identity,
		"zstd":                          blobstore.Zstd,
		"zstd,gzip":                     blobstore.Zstd,
		"ZSTD":                          blobstore.Zstd,
		"gzip;q=1.0, zstd;q=0.5":        blobstore.Zstd,
		"zstd;q=0":                      blobstore.Identity,
		"zstd;q=0.000":                  blobstore.Identity,
		"zstd;q=0.5, identity":          blobstore.Identity,
		"zstd;q=0.5, identity;q=0.4":    blobstore.Zstd,
		"zstd, identity":                blobstore.Zstd,
		"identity;q=0, zstd;q=0.1":      blobstore.Zstd,
		"*":                             blobstore.Identity,
		"*;q=0.5, zstd;q=0":             blobstore.Identity,
		"identity;q=0, *":               blobstore.Zstd,
		"*;q=0, zstd":                   blobstore.Zstd,
		"zstd ; foo=bar ; Q=0.3 , gzip": blobstore.Zstd,
		"zstd;q=nonsense":               blobstore.Identity,
		"identity;q=0":                  refused,
		"*;q=0":                         refused,
		"identity;q=0, zstd;q=0, gzip":  refused,
	} {
		r := &http.Request{Header: http.Header{}}
		if header != "" {
			r.Header.Set("Accept-Encoding", header)
		}
		got, err := acceptedEncoding(r)
		switch {
		case want == refused:
			if err == nil || statusOf(err) != http.StatusNotAcceptable {
				t.Errorf("Accept-Encoding %q: %v, %v, want 406", header, got, err)
			}
		case err != nil || got != want:
			t.Errorf("Accept-Encoding %q: %v, %v, want %v", header, got, err, want)
		}
	}
}

func TestAcceptsJSON(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]bool{
		"":                 false,
		"*/*":              false,
		"application/json": true,
		"application/json, application/octet-stream;q=0.5": true,
		"application/json;q=0.5, application/octet-stream": false,
		"application/json;q=0":                             false,
		"application/x-protobuf":                           false,
	} {
		r := &http.Request{Header: http.Header{"Accept": {header}}}
		if got := acceptsJSON(r); got != want {
			t.Errorf("Accept %q: %v, want %v", header, got, want)
		}
	}
}

func TestParseRange(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		header string
		size   int64
		want   byteRange
		ok     bool
	}{
		{"bytes=0-0", 10, byteRange{0, 1}, true},
		{"bytes=2-5", 10, byteRange{2, 4}, true},
		{"bytes=2-", 10, byteRange{2, 8}, true},
		{"bytes=-3", 10, byteRange{7, 3}, true},
		{"bytes=-30", 10, byteRange{0, 10}, true},
		{"bytes=5-99", 10, byteRange{5, 5}, true},
		{"Bytes=9-9", 10, byteRange{9, 1}, true},
		{"bytes=0-99999999999999999999", 10, byteRange{0, 10}, true},
		{"bytes=10-", 10, byteRange{10, 0}, true},
		{"bytes=99999999999999999999-", 10, byteRange{1<<63 - 1, 0}, true},
		{"bytes=-0", 10, byteRange{10, 0}, true},
		{"bytes=0-", 0, byteRange{0, 0}, true},
		{"bytes=5-2", 10, byteRange{}, false},
		{"bytes=0-1,3-4", 10, byteRange{}, false},
		{"bytes=-", 10, byteRange{}, false},
		{"bytes=a-b", 10, byteRange{}, false},
		{"bytes=--1", 10, byteRange{}, false},
		{"bytes=+1-2", 10, byteRange{}, false},
		{"bytes", 10, byteRange{}, false},
		{"lines=1-2", 10, byteRange{}, false},
		{"", 10, byteRange{}, false},
	} {
		got, ok := parseRange(tt.header, tt.size)
		if ok != tt.ok || got != tt.want {
			t.Errorf("parseRange(%q, %d) = %v, %v, want %v, %v", tt.header, tt.size, got, ok, tt.want, tt.ok)
		}
	}
}

func FuzzParseRange(f *testing.F) {
	f.Add("bytes=2-5", int64(10))
	f.Add("bytes=-5", int64(3))
	f.Fuzz(func(t *testing.T, header string, size int64) {
		size = max(size, 0)
		b, ok := parseRange(header, size)
		if ok && b.length != 0 && (b.offset < 0 || b.length < 0 || b.offset > size-b.length) {
			t.Errorf("parseRange(%q, %d) = %v, which is not in the blob", header, size, b)
		}
		parseQualities([]string{header})
	})
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		header, etag string
		want         bool
	}{
		{`"a"`, `"a"`, true},
		{`W/"a"`, `"a"`, true},
		{`"b", "a"`, `"a"`, true},
		{`*`, `"a"`, true},
		{`"b"`, `"a"`, false},
		{``, `"a"`, false},
		{`*`, ``, false},
	} {
		if got := matches(tt.header, tt.etag); got != tt.want {
			t.Errorf("matches(%q, %q) = %v", tt.header, tt.etag, got)
		}
	}
}
