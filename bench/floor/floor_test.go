package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"
	bspb "google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dial serves s on loopback and connects to it.
func dial(t *testing.T, s *store) *grpc.ClientConn {
	t.Helper()
	g, err := newGRPCServer(s)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		g.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return conn
}

func digestOf(data []byte) *repb.Digest {
	return &repb.Digest{Hash: hashOf(data), SizeBytes: int64(len(data))}
}

func blobName(d *repb.Digest) string { return fmt.Sprintf("blobs/%s/%d", d.Hash, d.SizeBytes) }

// write uploads content under the resource name in messages of chunk bytes.
func write(t *testing.T, conn *grpc.ClientConn, name string, content []byte, chunk int) (int64, error) {
	t.Helper()
	stream, err := bspb.NewByteStreamClient(conn).Write(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for off := 0; ; {
		n := min(chunk, len(content)-off)
		last := off+n == len(content)
		req := &bspb.WriteRequest{WriteOffset: int64(off), Data: content[off : off+n], FinishWrite: last}
		if off == 0 {
			req.ResourceName = name
		}
		if err := stream.Send(req); err == io.EOF || last {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		off += n
	}
	resp, err := stream.CloseAndRecv()
	return resp.GetCommittedSize(), err
}

func read(t *testing.T, conn *grpc.ClientConn, req *bspb.ReadRequest) ([]byte, error) {
	t.Helper()
	stream, err := bspb.NewByteStreamClient(conn).Read(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	for {
		resp, err := stream.Recv()
		if err == io.EOF {
			return out, nil
		} else if err != nil {
			return nil, err
		}
		out = append(out, resp.GetData()...)
	}
}

func wantCode(t *testing.T, err error, want codes.Code) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Errorf("code %v, want %v (%v)", got, want, err)
	}
}

func TestByteStreamRoundTrip(t *testing.T) {
	t.Parallel()
	conn := dial(t, newStore(1<<30))
	content := bytes.Repeat([]byte("0123456789abcdef"), 20_000)
	d := digestOf(content)
	n, err := write(t, conn, "some/instance/uploads/u/"+blobName(d), content, 16<<10)
	if err != nil || n != d.SizeBytes {
		t.Fatalf("committed %d, %v", n, err)
	}
	if n, err := write(t, conn, "uploads/u/"+blobName(d), content, 16<<10); err != nil || n != d.SizeBytes {
		t.Errorf("second write committed %d, %v", n, err)
	}
	for _, tt := range []struct{ offset, limit, from, to int64 }{
		{0, 0, 0, d.SizeBytes},
		{5, 0, 5, d.SizeBytes},
		{5, 10, 5, 15},
		{d.SizeBytes, 0, 0, 0},
	} {
		got, err := read(t, conn, &bspb.ReadRequest{ResourceName: blobName(d), ReadOffset: tt.offset, ReadLimit: tt.limit})
		if err != nil || !bytes.Equal(got, content[tt.from:tt.to]) {
			t.Errorf("read at %d limit %d: %d bytes, %v", tt.offset, tt.limit, len(got), err)
		}
	}
	_, err = read(t, conn, &bspb.ReadRequest{ResourceName: blobName(d), ReadOffset: d.SizeBytes + 1})
	wantCode(t, err, codes.OutOfRange)
}

func TestByteStreamZstd(t *testing.T) {
	t.Parallel()
	conn := dial(t, newStore(1<<30))
	enc, _ := zstd.NewWriter(nil)
	dec, _ := zstd.NewReader(nil)
	defer dec.Close()
	content := bytes.Repeat([]byte("compressible "), 10_000)
	d := digestOf(content)
	packed := enc.EncodeAll(content, nil)
	name := fmt.Sprintf("compressed-blobs/zstd/%s/%d", d.Hash, d.SizeBytes)
	if n, err := write(t, conn, "uploads/u/"+name, packed, 100); err != nil || n != int64(len(packed)) {
		t.Fatalf("committed %d, %v", n, err)
	}
	if n, err := write(t, conn, "uploads/u/"+name, packed, 100); err != nil || n != -1 {
		t.Errorf("second write committed %d, %v", n, err)
	}
	got, err := read(t, conn, &bspb.ReadRequest{ResourceName: name})
	if err != nil || !bytes.Equal(got, packed) {
		t.Errorf("read %d compressed bytes, %v", len(got), err)
	}
	if got, err := read(t, conn, &bspb.ReadRequest{ResourceName: blobName(d)}); err != nil || !bytes.Equal(got, content) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	got, err = read(t, conn, &bspb.ReadRequest{ResourceName: name, ReadOffset: 13})
	if plain, derr := dec.DecodeAll(got, nil); err != nil || derr != nil || !bytes.Equal(plain, content[13:]) {
		t.Errorf("compressed read at 13: %v, %v", err, derr)
	}
}

func TestByteStreamRefuses(t *testing.T) {
	t.Parallel()
	conn := dial(t, newStore(1<<30))
	content := []byte("hello")
	d := digestOf(content)
	other := digestOf([]byte("world"))
	for name, resource := range map[string]string{
		"wrong hash":    "uploads/u/" + blobName(other),
		"too long":      "uploads/u/" + blobName(&repb.Digest{Hash: d.Hash, SizeBytes: 4}),
		"too short":     "uploads/u/" + blobName(&repb.Digest{Hash: d.Hash, SizeBytes: 6}),
		"no digest":     "uploads/u/blobs",
		"no blobs":      "uploads/u",
		"not hex":       "uploads/u/blobs/" + strings.Repeat("G", 64) + "/5",
		"size no digit": "uploads/u/blobs/" + d.Hash + "/five",
		"over limit":    "uploads/u/blobs/" + d.Hash + "/99999999999",
		"no zstd":       "uploads/u/compressed-blobs/zstd/" + d.Hash + "/5",
		"brotli":        "uploads/u/compressed-blobs/brotli/" + d.Hash + "/5",
	} {
		_, err := write(t, conn, resource, content, 3)
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := read(t, conn, &bspb.ReadRequest{ResourceName: blobName(d)})
	wantCode(t, err, codes.NotFound)
}

func TestBatches(t *testing.T) {
	t.Parallel()
	conn := dial(t, newStore(1<<30))
	cas := repb.NewContentAddressableStorageClient(conn)
	a, b, absent, empty := []byte("aaa"), []byte("bbbb"), digestOf([]byte("absent")), digestOf(nil)
	up, err := cas.BatchUpdateBlobs(t.Context(), &repb.BatchUpdateBlobsRequest{Requests: []*repb.BatchUpdateBlobsRequest_Request{
		{Digest: digestOf(a), Data: a}, {Digest: digestOf(b), Data: a},
	}})
	if err != nil || up.Responses[0].Status.GetCode() != 0 || up.Responses[1].Status.GetCode() != int32(codes.InvalidArgument) {
		t.Fatalf("update: %v, %v", up, err)
	}
	down, err := cas.BatchReadBlobs(t.Context(), &repb.BatchReadBlobsRequest{Digests: []*repb.Digest{digestOf(a), absent}})
	if err != nil || string(down.Responses[0].Data) != "aaa" || down.Responses[1].Status.GetCode() != int32(codes.NotFound) {
		t.Fatalf("read: %v, %v", down, err)
	}
	wrongSize := &repb.Digest{Hash: digestOf(a).Hash, SizeBytes: 4}
	miss, err := cas.FindMissingBlobs(t.Context(), &repb.FindMissingBlobsRequest{BlobDigests: []*repb.Digest{digestOf(a), absent, empty, wrongSize}})
	if err != nil || len(miss.MissingBlobDigests) != 2 || miss.MissingBlobDigests[0].Hash != absent.Hash || miss.MissingBlobDigests[1].SizeBytes != 4 {
		t.Fatalf("missing: %v, %v", miss, err)
	}
	_, err = cas.FindMissingBlobs(t.Context(), &repb.FindMissingBlobsRequest{BlobDigests: []*repb.Digest{nil}})
	wantCode(t, err, codes.InvalidArgument)
}

func TestActionCache(t *testing.T) {
	t.Parallel()
	s := newStore(1 << 30)
	conn := dial(t, s)
	ac := repb.NewActionCacheClient(conn)
	output, action := []byte("output"), digestOf([]byte("action"))
	get := func(instance string) error {
		_, err := ac.GetActionResult(t.Context(), &repb.GetActionResultRequest{InstanceName: instance, ActionDigest: action})
		return err
	}
	wantCode(t, get("i"), codes.NotFound)
	_, err := ac.UpdateActionResult(t.Context(), &repb.UpdateActionResultRequest{InstanceName: "i", ActionDigest: action, ActionResult: &repb.ActionResult{
		OutputFiles: []*repb.OutputFile{{Path: "x", Digest: digestOf(output)}},
	}})
	wantCode(t, err, codes.OK)
	wantCode(t, get("i"), codes.NotFound) // rule 22: its output is not there
	s.put(hashOf(output), blob{data: output})
	wantCode(t, get("i"), codes.OK)
	wantCode(t, get("j"), codes.NotFound)
	_, err = ac.UpdateActionResult(t.Context(), &repb.UpdateActionResultRequest{ActionDigest: action, ActionResult: &repb.ActionResult{
		OutputFiles: []*repb.OutputFile{{Path: "x"}},
	}})
	wantCode(t, err, codes.InvalidArgument)
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	h := newHTTPHandler(newStore(1 << 30))
	do := func(method, path, content string) (int, string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(content)))
		return w.Code, w.Body.String()
	}
	hash := hashOf([]byte("content"))
	for _, tt := range []struct {
		method, path, content string
		code                  int
		want                  string
	}{
		{"GET", "/cas/" + hash, "", http.StatusNotFound, "404 page not found\n"},
		{"PUT", "/cas/" + hash, "other", http.StatusBadRequest, ""},
		{"PUT", "/cas/" + hash, "content", http.StatusOK, ""},
		{"GET", "/cas/" + hash, "", http.StatusOK, "content"},
		{"GET", "/ac/" + hash, "", http.StatusNotFound, "404 page not found\n"},
		{"PUT", "/ac/" + hash, "\xff", http.StatusBadRequest, ""},
		{"PUT", "/ac/" + hash, "\x20\x01", http.StatusOK, ""}, // exit_code: 1
		{"GET", "/ac/" + hash, "", http.StatusOK, "\x20\x01"},
	} {
		code, got := do(tt.method, tt.path, tt.content)
		if code != tt.code || tt.want != "" && got != tt.want {
			t.Errorf("%s %s: %d %q, want %d %q", tt.method, tt.path, code, got, tt.code, tt.want)
		}
	}
}

func TestEvictsOldest(t *testing.T) {
	t.Parallel()
	s := newStore(1000)
	hash := func(i int) string { return hashOf(fmt.Append(nil, i)) }
	for i := range 500 {
		s.put(hash(i), blob{data: make([]byte, 100)})
	}
	for i := range 500 {
		if _, ok := s.get(hash(i), 100); ok != (i >= 490) {
			t.Errorf("blob %d present: %v", i, ok)
		}
	}
	if _, ok := s.get(hashOf(nil), 0); !ok {
		t.Error("the empty blob was evicted")
	}
}

func TestQueue(t *testing.T) {
	t.Parallel()
	var q queue
	pushed, popped := int64(0), int64(0)
	for range 3 * queueBlock {
		for range 2 {
			q.push(queued{size: pushed})
			pushed++
		}
		if x, ok := q.pop(); !ok || x.size != popped {
			t.Fatalf("popped %d, %v, want %d", x.size, ok, popped)
		}
		popped++
	}
	for popped < pushed {
		if x, ok := q.pop(); !ok || x.size != popped {
			t.Fatalf("popped %d, %v, want %d", x.size, ok, popped)
		}
		popped++
	}
	if _, ok := q.pop(); ok {
		t.Error("popped from an empty queue")
	}
	if n := len(q.blocks); n > 1 {
		t.Errorf("an empty queue has %d blocks", n)
	}
}
