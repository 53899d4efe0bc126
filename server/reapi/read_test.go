package reapi_test

import (
	"bytes"
	"fmt"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	bspb "google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/reapi"
)

func readNamed(name string) *bspb.ReadRequest      { return &bspb.ReadRequest{ResourceName: name} }
func readRequest(d *repb.Digest) *bspb.ReadRequest { return readNamed(readName(d)) }

// sizes are those at which something changes: nothing, a length's second and
// third byte, HTTP/2 frames, chunks.
var sizes = []int{0, 1, 6, 127, 128, 1024, 16<<10 - 10, 16 << 10, 16<<10 + 1, 64 << 10, 64<<10 + 1, 256 << 10, 256<<10 + 1, 1<<20 - 1, 2 << 20}

func TestReadWholeBlobs(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	for _, n := range sizes {
		for name, data := range map[string][]byte{"random": random(uint64(n), n), "text": text(uint64(n), n)} {
			for stored, d := range map[string]*repb.Digest{"identity": h.put(data)} {
				h.wantRead(t, fmt.Sprintf("%s of %d stored as %s", name, n, stored), d, data)
			}
		}
	}
}

func TestRule15_IdentityOfWhatIsStoredCompressed(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	for _, n := range sizes[1:] {
		data := text(uint64(n)+1, n)
		h.wantRead(t, fmt.Sprintf("text of %d stored as zstd", n), h.putZstd(data), data)
	}
}

// wantRead reads a blob as identity and as zstd.
func (h *harness) wantRead(t *testing.T, what string, d *repb.Digest, want []byte) {
	t.Helper()
	got, messages, err := h.read(readRequest(d))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes, %v", what, len(got), err)
	}
	if few := (len(want) + 64<<10 - 1) / (64 << 10); messages > few {
		t.Errorf("%s: %d messages for %d bytes", what, messages, len(want))
	}
	got, _, err = h.read(readNamed(zstdName(d)))
	if err != nil || !bytes.Equal(decompress(t, got), want) {
		t.Errorf("%s as zstd: %v", what, err)
	}
}

func TestRule05_ReadNames(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	data := []byte("hello")
	d := h.put(data)
	for _, prefix := range []string{"", "main/", "a/b/c/"} {
		if got, _, err := h.read(readNamed(prefix + readName(d))); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %q, %v", prefix, got, err)
		}
	}
	for _, bad := range []string{
		"", "blobs", "blobs/", "/" + readName(d), "blobs/" + d.Hash, "blobs/" + d.Hash + "/", "blobs/" + d.Hash + "/x", "blobs/" + d.Hash + "/-1",
		"blobs/" + d.Hash + "/99999999999999999999", "blobs/sha256/" + d.Hash + "/5", "blobs/murmur3/" + d.Hash[:32] + "/5", "compressed-blobs/" + d.Hash + "/5",
		"compressed-blobs/deflate/" + d.Hash + "/5", "compressed-blobs/identity/" + d.Hash + "/5", "blobs/\x00", "uploads/blobs/" + d.Hash + "/5",
	} {
		_, _, err := h.read(readNamed(bad))
		wantCode(t, err, codes.InvalidArgument, "resource_name")
	}
}

// TestRule09_WhatFollowsTheSizeIsIgnored reads by names with metadata; the
// writing of such names is in TestRule05_WriteNames.
func TestRule09_WhatFollowsTheSizeIsIgnored(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	data := []byte("hello")
	d := h.put(data)
	for _, metadata := range []string{"/", "/main.o", "/a/b/c.txt", "/blobs/uploads/17", "/compressed-blobs/zstd/" + d.Hash + "/6"} {
		if got, _, err := h.read(readNamed(readName(d) + metadata)); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %q, %v", metadata, got, err)
		}
	}
}

func TestRule07_FunctionsInNames(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	data := text(1, 5000) // long enough for SHA256TREE to differ from SHA256
	for _, fn := range digest.Supported() {
		d := h.putAs(fn, "", data)
		name := readName(d)
		if s := fn.Segment(); s != "" {
			name = "blobs/" + s + name[len("blobs"):]
			_, _, err := h.read(readRequest(d))
			if err == nil {
				t.Errorf("%v: read without its segment", fn)
			}
		}
		if got, _, err := h.read(readNamed(name)); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestRule12_CompressedReads(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	data := text(1, 500_000)
	for stored, d := range map[string]*repb.Digest{"identity": h.put(data), "zstd": h.putZstd(text(2, 500_000))} {
		want := data
		if stored == "zstd" {
			want = text(2, 500_000)
		}
		for _, offset := range []int64{0, 1, 65_536, 499_999, 500_000} {
			got, _, err := h.read(&bspb.ReadRequest{ResourceName: zstdName(d), ReadOffset: offset})
			if err != nil {
				t.Errorf("stored as %s, from %d: %v", stored, offset, err)
				continue
			}
			if plain := decompress(t, got); !bytes.Equal(plain, want[offset:]) {
				t.Errorf("stored as %s, from %d: %d bytes", stored, offset, len(plain))
			}
		}
		_, _, err := h.read(&bspb.ReadRequest{ResourceName: zstdName(d), ReadLimit: 10})
		wantCode(t, err, codes.InvalidArgument, "read_limit 10")
		_, _, err = h.read(&bspb.ReadRequest{ResourceName: zstdName(d), ReadOffset: 500_001})
		wantCode(t, err, codes.OutOfRange, "500001")
	}
}

func TestRule13_OffsetAndLimit(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	data := text(5, 200_000)
	digests := map[string]*repb.Digest{"identity": h.put(data)}
	other := start(t, reapi.Options{})
	digests2 := map[string]*repb.Digest{"zstd": other.putZstd(data)}
	for _, tt := range []struct {
		offset, limit int64
		want          []byte
	}{
		{0, 0, data}, {0, 10, data[:10]}, {5, 0, data[5:]}, {5, 10, data[5:15]}, {199_999, 10, data[199_999:]},
		{200_000, 0, nil}, {200_000, 5, nil}, {0, 1 << 60, data}, {65_536, 65_536, data[65_536:131_072]}, {100, 131_072, data[100:131_172]},
	} {
		req := func(d *repb.Digest) *bspb.ReadRequest {
			return &bspb.ReadRequest{ResourceName: readName(d), ReadOffset: tt.offset, ReadLimit: tt.limit}
		}
		for _, d := range digests {
			if got, _, err := h.read(req(d)); err != nil || !bytes.Equal(got, tt.want) {
				t.Errorf("offset %d, limit %d: %d bytes, %v, want %d", tt.offset, tt.limit, len(got), err, len(tt.want))
			}
		}
		for _, d := range digests2 {
			if got, _, err := other.read(req(d)); err != nil || !bytes.Equal(got, tt.want) {
				t.Errorf("zstd, offset %d, limit %d: %d bytes, %v, want %d", tt.offset, tt.limit, len(got), err, len(tt.want))
			}
		}
	}
	for _, tt := range []struct {
		offset, limit int64
		want          codes.Code
	}{
		{200_001, 0, codes.OutOfRange}, {-1, 0, codes.OutOfRange}, {1 << 62, 1, codes.OutOfRange}, {0, -1, codes.InvalidArgument},
	} {
		_, _, err := h.read(&bspb.ReadRequest{ResourceName: readName(digests["identity"]), ReadOffset: tt.offset, ReadLimit: tt.limit})
		wantCode(t, err, tt.want, fmt.Sprint(tt.offset + tt.limit)[:2])
	}
	empty := sha256Of(nil)
	_, _, err := h.read(&bspb.ReadRequest{ResourceName: readName(empty), ReadOffset: 1})
	wantCode(t, err, codes.OutOfRange, "1")
}

func TestRule16_NameHeader(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	data := []byte("hello")
	d := h.put(data)
	const header = "build.bazel.remote.execution.v2.resource-name"
	for value, want := range map[string]codes.Code{readName(d): codes.OK, "main/" + readName(d): codes.InvalidArgument} {
		stream, err := h.bs.Read(metadata.AppendToOutgoingContext(h.ctx(), header, value), readRequest(d))
		if err != nil {
			t.Fatal(err)
		}
		_, err = stream.Recv()
		wantCode(t, err, want)
	}
	for value, want := range map[string]codes.Code{writeName(d): codes.OK, readName(d): codes.InvalidArgument} {
		ctx := metadata.AppendToOutgoingContext(h.ctx(), header, value)
		stream, err := h.bs.Write(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(chunked(writeName(d), data, 10)[0]); err != nil {
			t.Fatal(err)
		}
		_, err = stream.CloseAndRecv()
		wantCode(t, err, want)
		_, err = h.bs.QueryWriteStatus(ctx, &bspb.QueryWriteStatusRequest{ResourceName: writeName(d)})
		wantCode(t, err, want)
	}
}

// TestNotFoundNamesItsSubject sees that a miss says of what, also if the store
// does not.
func TestNotFoundNamesItsSubject(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	h.store.set(func(s *faults) { s.getErr = blobstore.ErrNotFound })
	d := sha256Of([]byte("absent"))
	_, _, err := h.read(readRequest(d))
	wantCode(t, err, codes.NotFound, d.Hash)
	_, err = h.tree(&repb.GetTreeRequest{RootDigest: d})
	wantCode(t, err, codes.NotFound, d.Hash)
	_, err = h.ac.GetActionResult(h.ctx(), &repb.GetActionResultRequest{ActionDigest: d})
	wantCode(t, err, codes.NotFound, d.Hash)
}

// TestRule32_ReadFailures sees that only a store that says so makes a
// NOT_FOUND, which costs Bazel the build.
func TestRule32_ReadFailures(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	_, _, err := h.read(readRequest(sha256Of([]byte("absent"))))
	wantCode(t, err, codes.NotFound, sha256Of([]byte("absent")).Hash)
	for _, e := range storeErrors {
		h.store.set(func(s *faults) { s.getErr = e.err })
		_, _, err := h.read(readRequest(sha256Of([]byte("x"))))
		wantCode(t, err, e.code, e.err.Error())
		wantRetryInfo(t, status.Convert(err), e.retry)
	}
}

// TestReadFailsMidway has a store whose reader fails after some bytes: those
// are sent, so that the client can go on from there.
func TestReadFailsMidway(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	data := random(1, 1<<20)
	d := h.put(data)
	for _, e := range storeErrors {
		h.store.set(func(s *faults) { s.readerErr, s.readerErrAt = e.err, 700_000 })
		got, _, err := h.read(readRequest(d))
		wantCode(t, err, e.code, e.err.Error())
		if len(got) < 600_000 || !bytes.Equal(got, data[:len(got)]) {
			t.Errorf("%d bytes came before the error", len(got))
		}
		h.store.set(func(s *faults) { s.readerErr = nil })
		rest, _, err := h.read(&bspb.ReadRequest{ResourceName: readName(d), ReadOffset: int64(len(got))})
		if err != nil || !bytes.Equal(append(got, rest...), data) {
			t.Errorf("resumed read: %d bytes, %v", len(rest), err)
		}
	}
}

func TestRule06_InstancesInReadNames(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{Namespace: blobstore.Namespace{IsolateCAS: true}})
	data := []byte("hello")
	d := sha256Of(data)
	if _, err := h.write(chunked("team/one/"+writeName(d), data, 10)...); err != nil {
		t.Fatal(err)
	}
	for prefix, want := range map[string]codes.Code{"team/one/": codes.OK, "team/two/": codes.NotFound, "": codes.NotFound} {
		_, _, err := h.read(readNamed(prefix + readName(d)))
		wantCode(t, err, want)
	}
}
