package reapi_test

import (
	"context"
	"fmt"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	bspb "google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/larder-build/larder/server/reapi"
	"github.com/larder-build/larder/server/reapi/codec"
)

// The benchmarks call the handlers without a transport, whose cost is the same
// for every server on grpc-go: what they show is what this package costs.

// handlers finds the handlers of a server by method name.
type handlers struct {
	unary  map[string]grpc.MethodDesc
	stream map[string]grpc.StreamDesc
}

func (h handlers) RegisterService(d *grpc.ServiceDesc, _ any) {
	for _, m := range d.Methods {
		h.unary[m.MethodName] = m
	}
	for _, s := range d.Streams {
		h.stream[s.StreamName] = s
	}
}

func handlersOf(b *testing.B) (handlers, *harness) {
	b.Helper()
	hn := start(b, reapi.Options{})
	h := handlers{map[string]grpc.MethodDesc{}, map[string]grpc.StreamDesc{}}
	hn.srv.Register(h)
	return h, hn
}

// frames cuts a message as HTTP/2 does.
func frames(b *testing.B, m proto.Message) mem.BufferSlice {
	b.Helper()
	wire, err := proto.Marshal(m)
	if err != nil {
		b.Fatal(err)
	}
	var out mem.BufferSlice
	for len(wire) > 0 {
		n := min(16<<10-5, len(wire))
		out = append(out, mem.SliceBuffer(wire[:n]))
		wire = wire[n:]
	}
	return out
}

func (h handlers) benchUnary(b *testing.B, method string, m proto.Message, ops int) {
	c := codec.New()
	data := frames(b, m)
	ctx := context.Background()
	handler := h.unary[method].Handler
	b.ReportAllocs()
	b.SetBytes(int64(data.Len()))
	for b.Loop() {
		resp, err := handler(nil, ctx, func(v any) error { return c.Unmarshal(data, v) }, nil)
		if err != nil {
			b.Fatal(err)
		}
		out, err := c.Marshal(resp)
		if err != nil {
			b.Fatal(err)
		}
		out.Free()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(ops), "ns/blob")
}

// stubStream hands one message to a handler and takes its answers.
type stubStream struct {
	grpc.ServerStream
	ctx   context.Context
	codec *codec.Codec
	in    mem.BufferSlice
	sent  int
}

func (s *stubStream) Context() context.Context { return s.ctx }
func (s *stubStream) RecvMsg(v any) error      { return s.codec.Unmarshal(s.in, v) }
func (s *stubStream) SendMsg(v any) error {
	out, err := s.codec.Marshal(v)
	s.sent += out.Len()
	out.Free()
	return err
}

func BenchmarkFindMissing1000(b *testing.B) {
	h, hn := handlersOf(b)
	req := &repb.FindMissingBlobsRequest{DigestFunction: repb.DigestFunction_SHA256}
	for i := range 1000 {
		data := fmt.Appendf(nil, "blob %d", i)
		if i%2 == 0 {
			hn.put(data)
		}
		req.BlobDigests = append(req.BlobDigests, sha256Of(data))
	}
	h.benchUnary(b, "FindMissingBlobs", req, 1000)
}

func hundred() (blobs [][]byte) {
	for i := range 100 {
		blobs = append(blobs, random(uint64(i), 1024))
	}
	return blobs
}

func BenchmarkBatchUpdate100x1KiB(b *testing.B) {
	h, _ := handlersOf(b)
	h.benchUnary(b, "BatchUpdateBlobs", updateRequest(hundred()), 100)
}

func BenchmarkBatchRead100x1KiB(b *testing.B) {
	h, hn := handlersOf(b)
	req := &repb.BatchReadBlobsRequest{DigestFunction: repb.DigestFunction_SHA256}
	for _, data := range hundred() {
		req.Digests = append(req.Digests, hn.put(data))
	}
	h.benchUnary(b, "BatchReadBlobs", req, 100)
}

func BenchmarkRead(b *testing.B) {
	for _, n := range []int{1 << 10, 1 << 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h, hn := handlersOf(b)
			d := hn.put(random(1, n))
			s := &stubStream{ctx: context.Background(), codec: codec.New(), in: frames(b, readRequest(d))}
			b.ReportAllocs()
			b.SetBytes(int64(n))
			for b.Loop() {
				if err := h.stream["Read"].Handler(nil, s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkWrite1KiB writes 1 KiB that is new each time, in one message.
func BenchmarkWrite1KiB(b *testing.B) {
	h, _ := handlersOf(b)
	s := &stubStream{ctx: context.Background(), codec: codec.New()}
	const distinct = 4096
	var messages []mem.BufferSlice
	for i := range distinct {
		data := random(uint64(i), 1024)
		messages = append(messages, frames(b, &bspb.WriteRequest{ResourceName: writeName(sha256Of(data)), Data: data, FinishWrite: true}))
	}
	b.ReportAllocs()
	b.SetBytes(1024)
	i := 0
	for b.Loop() {
		if i%distinct == 0 { // forget them
			b.StopTimer()
			h, _ = handlersOf(b)
			b.StartTimer()
		}
		s.in = messages[i%distinct]
		if err := h.stream["Write"].Handler(nil, s); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
