package encoding

import (
	"errors"
	"strings"
	"testing"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/server/blobstore"
)

// verdict is what a verification says, by any of the ways there are.
func verdicts(spec blobstore.Spec, data []byte) map[string]error {
	return map[string]error{
		"Verify":           Verify(blobstore.Blob{Spec: spec, Data: data}),
		"Verifier":         verifyIn(spec, data, len(data)),
		"Verifier by 1":    verifyIn(spec, data[:min(len(data), 4096)], 1, data[min(len(data), 4096):]),
		"Verifier by 1000": verifyIn(spec, data, 1000),
	}
}

func verifyIn(spec blobstore.Spec, data []byte, step int, rest ...[]byte) error {
	v := NewVerifier(spec)
	defer v.Close()
	for len(data) > 0 {
		n := min(max(step, 1), len(data))
		if _, err := v.Write(data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	for _, r := range rest {
		if _, err := v.Write(r); err != nil {
			return err
		}
	}
	return v.Finish()
}

func TestVerify(t *testing.T) {
	t.Parallel()
	small, large, raw := text(5000), text(3<<20), noise(1<<20)
	for _, c := range [][]byte{nil, {1}, small, large, raw} {
		for _, e := range []blobstore.Encoding{blobstore.Identity, blobstore.Zstd} {
			data := c
			if e == blobstore.Zstd {
				data = AppendCompressed(nil, c)
			}
			for how, err := range verdicts(specOf(c, e), data) {
				if err != nil {
					t.Errorf("%d bytes as %v by %s: %v", len(c), e, how, err)
				}
			}
		}
	}
}

func TestVerifyMismatch(t *testing.T) {
	t.Parallel()
	small, large := text(5000), text(3<<20)
	tests := []struct {
		name      string
		spec      blobstore.Spec
		data      []byte
		wantError string
	}{
		{"short", specOf(small, 0), small[:4999], "content has 4999 bytes, not 5000"},
		{"long", specOf(small[:4000], 0), small, ""},
		{"other content", specOf(small, 0), text(4999 + 1)[:5000:5000], ""},
		{"zstd truncated", specOf(small, 1), AppendCompressed(nil, small)[:100], "zstd stream is truncated"},
		{"zstd large truncated", specOf(large, 1), AppendCompressed(nil, large)[:100_000], "zstd stream is truncated"},
		{"zstd garbage", specOf(small, 1), small, "zstd stream has bytes that are no frame"},
	}
	tests[2].data = append([]byte{'x'}, small[1:]...)
	tests[2].wantError = "content has the SHA256 hash " + digest.Of(digest.SHA256, tests[2].data).Hex()
	for _, tt := range tests {
		for how, err := range verdicts(tt.spec, tt.data) {
			var m *blobstore.MismatchError
			if !errors.As(err, &m) || !strings.Contains(m.Reason, tt.wantError) {
				t.Errorf("%s by %s: %v, want a mismatch with %q", tt.name, how, err, tt.wantError)
			}
		}
	}
}
