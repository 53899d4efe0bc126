package reapi_test

import (
	"fmt"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/bazelbuild/remote-apis/build/bazel/semver"
	"google.golang.org/protobuf/proto"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/server/reapi"
)

func (h *harness) capabilities(t *testing.T) *repb.ServerCapabilities {
	t.Helper()
	c, err := h.caps.GetCapabilities(h.ctx(), &repb.GetCapabilitiesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCapabilitiesTellTheTruth(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{MaxBlobSize: 1 << 30})
	c := h.capabilities(t)
	want := &repb.ServerCapabilities{
		CacheCapabilities: &repb.CacheCapabilities{
			ActionCacheUpdateCapabilities:   &repb.ActionCacheUpdateCapabilities{UpdateEnabled: true},
			MaxBatchTotalSizeBytes:          reapi.DefaultMaxBatchBytes,
			SymlinkAbsolutePathStrategy:     repb.SymlinkAbsolutePathStrategy_ALLOWED,
			SupportedCompressors:            []repb.Compressor_Value{repb.Compressor_ZSTD},
			SupportedBatchUpdateCompressors: []repb.Compressor_Value{repb.Compressor_ZSTD},
			MaxCasBlobSizeBytes:             1 << 30,
		},
		DeprecatedApiVersion: &semver.SemVer{Major: 2},
		LowApiVersion:        &semver.SemVer{Major: 2},
		HighApiVersion:       &semver.SemVer{Major: 2, Minor: 12},
	}
	for _, f := range digest.Supported() {
		want.CacheCapabilities.DigestFunctions = append(want.CacheCapabilities.DigestFunctions, repb.DigestFunction_Value(f))
	}
	if !proto.Equal(c, want) {
		t.Errorf("capabilities\n%v, want\n%v", c, want)
	}
}

// TestRule14_AdvertisedFunctionsAndCompressorsWork stores and reads a blob
// under everything that the capabilities name.
func TestRule14_AdvertisedFunctionsAndCompressorsWork(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	c := h.capabilities(t).GetCacheCapabilities()
	data := text(3, 300_000)
	for _, f := range c.DigestFunctions {
		fn := digest.Function(f)
		d := protoDigest(digest.Of(fn, data))
		segment := ""
		if fn.Segment() != "" {
			segment = fn.Segment() + "/"
		}
		name := fmt.Sprintf("%s%s/%d", segment, d.Hash, d.SizeBytes)
		if _, err := h.write(chunked("uploads/"+uploadID+"/blobs/"+name, data, 100_000)...); err != nil {
			t.Errorf("%v: Write: %v", f, err)
		}
		for _, compressor := range append(c.SupportedCompressors, repb.Compressor_IDENTITY) {
			h.wantReadAs(t, compressor, name, data)
		}
	}
}

func (h *harness) wantReadAs(t *testing.T, compressor repb.Compressor_Value, name string, want []byte) {
	t.Helper()
	form := "blobs/"
	if compressor == repb.Compressor_ZSTD {
		form = "compressed-blobs/zstd/"
	}
	got, _, err := h.read(readNamed(form + name))
	if compressor == repb.Compressor_ZSTD && err == nil {
		got = decompress(t, got)
	}
	if err != nil || string(got) != string(want) {
		t.Errorf("%s%s: %d bytes, %v", form, name, len(got), err)
	}
}
