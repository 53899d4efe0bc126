package reapi_test

import (
	"bytes"
	"context"
	"net"
	"strings"
	"sync"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	bspb "google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"

	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/reapi"
)

// TestGzipMessages has a client that compresses its messages.
func TestGzipMessages(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	conn := h.dial(grpc.WithDefaultCallOptions(grpc.UseCompressor(gzip.Name)))
	h.cas, h.bs, h.caps = repb.NewContentAddressableStorageClient(conn), bspb.NewByteStreamClient(conn), repb.NewCapabilitiesClient(conn)
	data := text(1, 300_000)
	d := sha256Of(data)
	if _, err := h.write(chunked(writeName(d), data, 100_000)...); err != nil {
		t.Fatal(err)
	}
	h.wantRead(t, "over gzip", d, data)
	h.roundTrip(t, [][]byte{text(2, 1000), random(3, 50_000)})
	h.capabilities(t)
	missing, err := h.findMissing(&repb.FindMissingBlobsRequest{BlobDigests: []*repb.Digest{d, sha256Of([]byte("absent"))}})
	if err != nil || len(missing) != 1 {
		t.Errorf("FindMissing = %v, %v", missing, err)
	}
}

// TestUserInfoInAuthority has a client that sends its password where a URL has
// it.
func TestUserInfoInAuthority(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	h.caps = repb.NewCapabilitiesClient(h.dial(grpc.WithAuthority("user:pass@localhost:9092")))
	h.capabilities(t)
}

func TestRule31_RequestMetadataIsTaken(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	for _, value := range []string{"", "\x0a\x05bazel", "\xff\xff garbage", strings.Repeat("x", 4000)} {
		ctx := metadata.AppendToOutgoingContext(h.ctx(), "build.bazel.remote.execution.v2.requestmetadata-bin", value)
		if _, err := h.cas.FindMissingBlobs(ctx, &repb.FindMissingBlobsRequest{BlobDigests: []*repb.Digest{sha256Of([]byte("x"))}}); err != nil {
			t.Errorf("%.20q: %v", value, err)
		}
	}
}

// TestForeignServices registers services that know nothing of the codec.
func TestForeignServices(t *testing.T) {
	t.Parallel()
	s := reapi.New(reapi.Options{Store: blobstore.Store(nil)})
	t.Cleanup(s.Close)
	gs := grpc.NewServer(s.GRPCOptions()...)
	s.Register(gs)
	healthpb.RegisterHealthServer(gs, health.NewServer())
	reflection.Register(gs)
	h := &harness{tb: t, addr: serve(t, gs)}
	conn := h.dial()

	resp, err := healthpb.NewHealthClient(conn).Check(h.ctx(), &healthpb.HealthCheckRequest{})
	if err != nil || resp.Status != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("health: %v, %v", resp, err)
	}
	stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(h.ctx())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"build.bazel.remote.execution.v2.ContentAddressableStorage", "build.bazel.remote.execution.v2.Capabilities", "google.bytestream.ByteStream",
	} {
		if err := stream.Send(&reflectionpb.ServerReflectionRequest{
			MessageRequest: &reflectionpb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: name},
		}); err != nil {
			t.Fatal(err)
		}
		resp, err := stream.Recv()
		if err != nil || len(resp.GetFileDescriptorResponse().GetFileDescriptorProto()) == 0 {
			t.Errorf("reflection of %s: %v, %v", name, resp, err)
		}
	}
	if err := stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	list, err := stream.Recv()
	if err != nil || len(list.GetListServicesResponse().GetService()) < 5 {
		t.Errorf("services: %v, %v", list, err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}

	// The store is nil, so this panics.
	_, err = repb.NewContentAddressableStorageClient(conn).FindMissingBlobs(h.ctx(), &repb.FindMissingBlobsRequest{BlobDigests: []*repb.Digest{sha256Of([]byte("x"))}})
	wantCode(t, err, codes.Internal, "FindMissingBlobs")
	read, err := bspb.NewByteStreamClient(conn).Read(h.ctx(), readRequest(sha256Of([]byte("x"))))
	if err != nil {
		t.Fatal(err)
	}
	_, err = read.Recv()
	wantCode(t, err, codes.Internal, "Read")
}

// TestPanicsAreCounted also sees that the server goes on.
func TestPanicsAreCounted(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{Store: panickyStore{}})
	for range 3 {
		_, err := h.findMissing(&repb.FindMissingBlobsRequest{BlobDigests: []*repb.Digest{sha256Of([]byte("x"))}})
		wantCode(t, err, codes.Internal)
	}
	data := random(1, 100_000)
	_, err := h.write(chunked(writeName(sha256Of(data)), data, 10_000)...)
	wantCode(t, err, codes.Internal)
	if n := h.metric("larder_reapi_panics_total"); n != 4 {
		t.Errorf("%v panics counted, want 4", n)
	}
	h.capabilities(t)
}

type panickyStore struct{ blobstore.Store }

func (panickyStore) FindMissing(context.Context, []blobstore.Key) ([]int, error) {
	panic("at the disco")
}

// rawCodec sends bytes as they are.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }
func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}
func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

func TestMalformedMessages(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	for _, method := range []string{
		"/build.bazel.remote.execution.v2.ContentAddressableStorage/FindMissingBlobs",
		"/build.bazel.remote.execution.v2.ContentAddressableStorage/BatchUpdateBlobs",
		"/build.bazel.remote.execution.v2.ContentAddressableStorage/BatchReadBlobs",
		"/build.bazel.remote.execution.v2.Capabilities/GetCapabilities",
		"/google.bytestream.ByteStream/Read",
		"/google.bytestream.ByteStream/Write",
		"/google.bytestream.ByteStream/QueryWriteStatus",
	} {
		for _, wire := range []string{"\xff", "\x0a\x05abc", "\x00\x00", "\x0a\x01\xff", strings.Repeat("\x12\xff", 40_000)} {
			var resp []byte
			err := h.conn.Invoke(h.ctx(), method, []byte(wire), &resp, grpc.ForceCodecV2(rawCodec{}))
			wantCode(t, err, codes.InvalidArgument, "request")
		}
	}
	// In FindMissing, digests are parsed later than the message.
	var resp []byte
	err := h.conn.Invoke(h.ctx(), "/build.bazel.remote.execution.v2.ContentAddressableStorage/FindMissingBlobs", []byte("\x12\x01\xff"), &resp, grpc.ForceCodecV2(rawCodec{}))
	wantCode(t, err, codes.InvalidArgument, "request")
}

func TestMessageOverTheTransportLimit(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	data := make([]byte, 9<<20)
	_, err := h.write(chunked(writeName(sha256Of(data)), data, len(data))...)
	wantCode(t, err, codes.ResourceExhausted, "larger than max")
	_, err = h.cas.BatchUpdateBlobs(h.ctx(), updateRequest([][]byte{data}))
	wantCode(t, err, codes.ResourceExhausted, "larger than max")
}

// TestGarbageOnThePort sends what is no HTTP/2 and sees that others are served.
func TestGarbageOnThePort(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	for _, garbage := range []string{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff"} {
		conn, err := net.Dial("tcp", h.addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(garbage)); err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	h.capabilities(t)
}

// TestManyStreams has more calls open on one connection than Bazel has.
func TestManyStreams(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	data := random(1, 1000)
	d := sha256Of(data)
	var streams []bspb.ByteStream_WriteClient
	for range 500 {
		stream, err := h.bs.Write(h.ctx())
		if err != nil {
			t.Fatal(err)
		}
		streams = append(streams, stream)
	}
	var wg sync.WaitGroup
	for i, stream := range streams {
		wg.Go(func() {
			blob := append(bytes.Clone(data), byte(i), byte(i>>8))
			for _, m := range chunked(writeName(sha256Of(blob)), blob, 400) {
				if err := stream.Send(m); err != nil {
					t.Error(err)
				}
			}
			if _, err := stream.CloseAndRecv(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if missing, err := h.findMissing(&repb.FindMissingBlobsRequest{BlobDigests: []*repb.Digest{d}}); err != nil || len(missing) != 1 {
		t.Errorf("%v, %v", missing, err)
	}
}
