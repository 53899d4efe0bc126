package httpcache

import (
	"net/http"
	"strings"
	"testing"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/internal/resourcename"
	"github.com/larder-build/larder/server/blobstore"
)

func hexOf(fn digest.Function) string { return digest.Of(fn, []byte("larder")).Hex() }

func TestParsePath(t *testing.T) {
	t.Parallel()
	sha, sha1, md5, blake := hexOf(digest.SHA256), hexOf(digest.SHA1), hexOf(digest.MD5), hexOf(digest.BLAKE3)
	for _, tt := range []struct {
		path     string
		kind     blobstore.Kind
		instance string
		fns      []digest.Function
	}{
		{"/cas/" + sha, blobstore.CAS, "", []digest.Function{digest.SHA256, digest.BLAKE3}},
		{"/ac/" + sha, blobstore.AC, "", []digest.Function{digest.SHA256, digest.BLAKE3}},
		{"/a/b/ac/" + sha, blobstore.AC, "a/b", []digest.Function{digest.SHA256, digest.BLAKE3}},
		{"/cas/ac/" + sha, blobstore.AC, "cas", []digest.Function{digest.SHA256, digest.BLAKE3}},
		{"/blake3/cas/" + sha, blobstore.CAS, "blake3", []digest.Function{digest.SHA256, digest.BLAKE3}},
		{"/cas/blake3/" + blake, blobstore.CAS, "", []digest.Function{digest.BLAKE3}},
		{"/x/cas/sha256tree/" + sha, blobstore.CAS, "x", []digest.Function{digest.SHA256Tree}},
		{"/cas/sha256/" + sha, blobstore.CAS, "", []digest.Function{digest.SHA256}},
		{"/cas/" + sha1, blobstore.CAS, "", []digest.Function{digest.SHA1, digest.GITSHA1}},
		{"/cas/" + md5, blobstore.CAS, "", []digest.Function{digest.MD5}},
	} {
		got, err := parsePath(tt.path)
		if err != nil || got.kind != tt.kind || got.instance != tt.instance || len(got.digests) != len(tt.fns) {
			t.Errorf("parsePath(%q) = %+v, %v", tt.path, got, err)
			continue
		}
		for i, d := range got.digests {
			if d.Function() != tt.fns[i] || !strings.HasSuffix(tt.path, d.Hex()) || d.Size() != digest.SizeUnknown {
				t.Errorf("parsePath(%q): digest %d is %v %v, want %v", tt.path, i, d.Function(), d, tt.fns[i])
			}
		}
	}
}

func TestParsePathRefuses(t *testing.T) {
	t.Parallel()
	sha := hexOf(digest.SHA256)
	for _, tt := range []struct{ path, want string }{
		{"", pathForm},
		{"/", pathForm},
		{"/cas", pathForm},
		{"/cas/", "0 hex digits"},
		{"/" + sha, pathForm},
		{"/CAS/" + sha, pathForm},
		{"/blobs/" + sha, pathForm},
		{"/blake3/" + sha, pathForm},
		{"/cas/" + sha[:63], "63 hex digits"},
		{"/cas/" + strings.ToUpper(sha), "lower-case"},
		{"/cas/" + sha + "/", pathForm},
		{"/cas/blake3/" + sha[:40], "40 characters"},
		{"/cas/murmur3/" + sha[:32], "MURMUR3 is not offered"},
		{"/uploads/cas/" + sha, "reserved"},
		{"/a//cas/" + sha, "empty path segment"},
		{"/../cas/" + sha, `".."`},
		{"/" + strings.Repeat("i", 256) + "/cas/" + sha, "the most is 255"},
	} {
		_, err := parsePath(tt.path)
		if err == nil || !strings.Contains(err.Error(), tt.want) || statusOf(err) != http.StatusBadRequest {
			t.Errorf("parsePath(%q): error %v, want a bad request with %q", tt.path, err, tt.want)
		}
	}
}

func FuzzParsePath(f *testing.F) {
	for _, fn := range digest.Supported() {
		f.Add("/a/b/cas/" + hexOf(fn))
		f.Add("/ac/" + fn.Segment() + "/" + hexOf(fn))
	}
	f.Fuzz(func(t *testing.T, path string) {
		got, err := parsePath(path)
		if err != nil {
			if statusOf(err) != http.StatusBadRequest {
				t.Errorf("parsePath(%q): %v is no bad request", path, err)
			}
			return
		}
		if err := resourcename.CheckInstance(got.instance); err != nil {
			t.Errorf("parsePath(%q): %v", path, err)
		}
		for _, d := range got.digests {
			again, err := parsePath("/" + got.instance + strings.Repeat("/", min(1, len(got.instance))) + got.kind.String() + "/" + d.Function().String() + "/" + d.Hex())
			if err != nil || again.instance != got.instance || again.kind != got.kind || again.digests[0] != d {
				t.Errorf("parsePath(%q) = %+v, named again %+v, %v", path, got, again, err)
			}
		}
	})
}
