package resourcename

import (
	"fmt"
	"strings"
	"testing"

	"github.com/larder-build/larder/internal/digest"
)

const uuid = "b1a5e9a6-4f2d-4c6d-9f3a-2f6f0c9d7e11"

var content = []byte("larder")

func hexOf(fn digest.Function) string { return digest.Of(fn, content).Hex() }

// Rules 5 and 7: the forms of a read name, with the function inferred from the
// hash or named where it has to be.
func TestParseRead(t *testing.T) {
	t.Parallel()
	for _, instance := range []string{"", "main", "a/b/c", "team one/ünïcode", "Blobs/upload", strings.Repeat("i", MaxInstanceLen)} {
		for _, fn := range digest.Supported() {
			for _, enc := range []Compressor{Identity, Zstd} {
				want := Read{Instance: instance, Digest: digest.Of(fn, content), Encoding: enc}
				checkRead(t, want.String(), want)
				checkRead(t, want.String()+"/ignored/blobs/metadata", want)
			}
		}
	}
}

func checkRead(t *testing.T, name string, want Read) {
	t.Helper()
	got, err := ParseRead(name)
	if err != nil || got != want {
		t.Errorf("ParseRead(%q) = %+v, %v, want %+v", name, got, err, want)
	}
	if got, err := ParseRead([]byte(name)); err != nil || got != want {
		t.Errorf("ParseRead(bytes of %q) = %+v, %v, want %+v", name, got, err, want)
	}
}

func TestReadString(t *testing.T) {
	t.Parallel()
	h := hexOf(digest.SHA256)
	for _, tt := range []struct {
		want string
		read Read
	}{
		{"blobs/" + h + "/6", Read{Digest: digest.Of(digest.SHA256, content)}},
		{"a/b/compressed-blobs/zstd/" + h + "/6", Read{Instance: "a/b", Digest: digest.Of(digest.SHA256, content), Encoding: Zstd}},
	} {
		if got := tt.read.String(); got != tt.want {
			t.Errorf("String() = %q, want %q", got, tt.want)
		}
	}
	write := Write{Read: Read{Instance: "a", Digest: digest.Of(digest.SHA256, content)}, UploadID: uuid}
	if got, want := write.String(), "a/uploads/"+uuid+"/blobs/"+h+"/6"; got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
}

// Rule 9: whatever follows the size is ignored.
func TestParseWrite(t *testing.T) {
	t.Parallel()
	for _, instance := range []string{"", "main", "a/b/c"} {
		for _, id := range []string{uuid, "not-a-uuid", "blobs", "uploads"} {
			for _, enc := range []Compressor{Identity, Zstd} {
				want := Write{Read{instance, digest.Of(digest.SHA256, content), enc}, id}
				for _, metadata := range []string{"", "/", "/meta", "/blobs/x/compressed-blobs"} {
					checkWrite(t, want.String()+metadata, want)
				}
			}
		}
	}
}

func checkWrite(t *testing.T, name string, want Write) {
	t.Helper()
	got, err := ParseWrite(name)
	if err != nil || got != want {
		t.Errorf("ParseWrite(%q) = %+v, %v, want %+v", name, got, err, want)
	}
	if got, err := ParseWrite([]byte(name)); err != nil || got != want {
		t.Errorf("ParseWrite(bytes of %q) = %+v, %v, want %+v", name, got, err, want)
	}
}

func TestParseReadRefuses(t *testing.T) {
	t.Parallel()
	h := hexOf(digest.SHA256)
	for _, tt := range []struct{ name, want string }{
		{"", "no segment"},
		{"main", "no segment"},
		{h + "/6", "no segment"},
		{"blobs", "hash"},
		{"blobs/" + h, "size is missing"},
		{"blobs/" + h + "/", "size is missing"},
		{"blobs//" + h + "/6", "hash"},
		{"/blobs/" + h + "/6", "empty path segment"},
		{"a//blobs/" + h + "/6", "empty path segment"},
		{"a//b/blobs/" + h + "/6", "empty path segment"},
		{"../blobs/" + h + "/6", `".."`},
		{"a\x00b/blobs/" + h + "/6", "control characters"},
		{"a\xffb/blobs/" + h + "/6", "UTF-8"},
		{strings.Repeat("i", MaxInstanceLen+1) + "/blobs/" + h + "/6", "the most is 255"},
		{"blobs/" + h + "/-1", `size "-1"`},
		{"blobs/" + h + "/+6", `size "+6"`},
		{"blobs/" + h + "/6x", `size "6x"`},
		{"blobs/" + h + "/9223372036854775808", `size "9223372036854775808"`},
		{"blobs/" + strings.ToUpper(h) + "/6", "lower-case"},
		{"blobs/" + h[:63] + "/6", "63 hex digits"},
		{"blobs/sha256/" + h + "/6", "omit the digest function SHA256"},
		{"blobs/murmur3/" + h[:32] + "/6", "omit the digest function MURMUR3"},
		{"blobs/blake3/" + h[:40] + "/6", "40 characters"},
		{"blobs/blake4/" + h + "/6", `"blake4"`},
		{"compressed-blobs/" + h + "/6", "compressor"},
		{"compressed-blobs/deflate/" + h + "/6", `compressor "deflate" is not offered`},
		{"compressed-blobs/brotli/" + h + "/6", `compressor "brotli" is not offered`},
		{"compressed-blobs/identity/" + h + "/6", `use "blobs"`},
		{"compressed-blobs/ZSTD/" + h + "/6", `compressor "ZSTD"`},
		{"uploads/" + uuid + "/blobs/" + h + "/6", "where it belongs"},
		{"actions/blobs/" + h + "/6", "where it belongs"},
		{"a/operations/blobs/" + h + "/6", "where it belongs"},
	} {
		checkRefused(t, tt.name, tt.want, func() error { _, err := ParseRead(tt.name); return err })
		checkRefused(t, tt.name, tt.want, func() error { _, err := ParseRead([]byte(tt.name)); return err })
	}
}

func TestParseWriteRefuses(t *testing.T) {
	t.Parallel()
	h := hexOf(digest.SHA256)
	for _, tt := range []struct{ name, want string }{
		{"", "no segment"},
		{"blobs/" + h + "/6", `no segment "uploads"`},
		{"uploads", "upload id is empty"},
		{"uploads//blobs/" + h + "/6", "upload id is empty"},
		{"uploads/" + strings.Repeat("u", MaxUploadIDLen+1) + "/blobs/" + h + "/6", "the most is 128"},
		{"uploads/a\nb/blobs/" + h + "/6", "control characters"},
		{"uploads/" + uuid, "where it belongs"},
		{"uploads/" + uuid + "/x/blobs/" + h + "/6", "where it belongs"},
		{"uploads/" + uuid + "/blobs/" + h, "size is missing"},
		{"uploads/" + uuid + "/compressed-blobs/lz4/" + h + "/6", `compressor "lz4"`},
	} {
		checkRefused(t, tt.name, tt.want, func() error { _, err := ParseWrite(tt.name); return err })
		checkRefused(t, tt.name, tt.want, func() error { _, err := ParseWrite([]byte(tt.name)); return err })
	}
}

func checkRefused(t *testing.T, name, want string, parse func() error) {
	t.Helper()
	err := parse()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%q: error %v, want one with %q", name, err, want)
	}
	if err != nil && !strings.Contains(err.Error(), fmt.Sprintf("%.400q", name)) {
		t.Errorf("%q: error %v does not quote the name", name, err)
	}
}

// Rule 6: no keyword may be a segment of an instance name.
func TestCheckInstance(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "a", "a/b/c/d", "blobsx", "Blobs", "compressed_blobs", strings.Repeat("i", MaxInstanceLen)} {
		if err := CheckInstance(name); err != nil {
			t.Errorf("CheckInstance(%q) = %v, want no error", name, err)
		}
	}
	refused := []string{"/", "/a", "a/", "a//b", ".", "a/../b", "a\tb", "a\x7f", "\xc3", strings.Repeat("i", MaxInstanceLen+1)}
	for _, word := range []string{"blobs", "uploads", "actions", "actionResults", "operations", "capabilities", "compressed-blobs"} {
		refused = append(refused, word, "a/"+word, word+"/a", "a/"+word+"/b")
	}
	for _, name := range refused {
		if err := CheckInstance(name); err == nil {
			t.Errorf("CheckInstance(%q) accepted it", name)
		}
	}
}

func TestParseAllocations(t *testing.T) {
	name := Write{Read{"a/b", digest.Of(digest.SHA256, content), Zstd}, uuid}.String()
	wire := []byte(name)
	read := []byte(Read{Digest: digest.Of(digest.SHA256, content)}.String())
	for _, tt := range []struct {
		what  string
		want  float64
		parse func()
	}{
		{"write name as a string", 0, func() { _, _ = ParseWrite(name) }},
		{"write name as bytes", 2, func() { _, _ = ParseWrite(wire) }},
		{"read name as bytes, no instance", 0, func() { _, _ = ParseRead(read) }},
		{"instance", 0, func() { _ = CheckInstance("a/b/c") }},
	} {
		if got := testing.AllocsPerRun(100, tt.parse); got > tt.want {
			t.Errorf("%s: %v allocations, want at most %v", tt.what, got, tt.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, fn := range digest.Supported() {
		r := Read{"a/b", digest.Of(fn, content), Zstd}
		f.Add(r.String())
		f.Add(Write{r, uuid}.String() + "/metadata")
	}
	f.Add("uploads/blobs/blobs/compressed-blobs/zstd/blake3/")
	f.Fuzz(func(t *testing.T, name string) {
		if r, err := ParseRead(name); err == nil {
			checkRead(t, name, r)
			checkRead(t, r.String(), r)
			checkFuzzedInstance(t, r.Instance)
		}
		if w, err := ParseWrite(name); err == nil {
			checkWrite(t, name, w)
			checkWrite(t, w.String(), w)
			checkFuzzedInstance(t, w.Instance)
		}
	})
}

func checkFuzzedInstance(t *testing.T, instance string) {
	t.Helper()
	if err := CheckInstance(instance); err != nil {
		t.Errorf("a parsed name's instance is refused: %v", err)
	}
}

func BenchmarkParse(b *testing.B) {
	read := []byte(Read{Digest: digest.Of(digest.SHA256, content)}.String())
	write := []byte(Write{Read{"main", digest.Of(digest.SHA256, content), Identity}, uuid}.String())
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = ParseRead(read)
		}
	})
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = ParseWrite(write)
		}
	})
}
