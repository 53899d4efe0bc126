package reapi_test

import (
	"context"
	"io"
	"testing"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	bspb "google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/larder-build/larder/server/reapi"
	"github.com/larder-build/larder/server/reapi/codec"
)

// fuzzedMethods are RPCs whose requests are walked by hand, and what answers
// them.
var fuzzedMethods = []struct {
	name   string
	answer proto.Message
}{
	{"FindMissingBlobs", &repb.FindMissingBlobsResponse{}},
	{"BatchUpdateBlobs", &repb.BatchUpdateBlobsResponse{}},
	{"BatchReadBlobs", &repb.BatchReadBlobsResponse{}},
	{"QueryWriteStatus", &bspb.QueryWriteStatusResponse{}},
	{"GetCapabilities", &repb.ServerCapabilities{}},
	{"Read", &bspb.ReadResponse{}},
	{"Write", &bspb.WriteResponse{}},
}

// FuzzHandlers gives handlers any bytes, cut into any buffers. They may refuse
// them, but not panic, nor blame themselves, nor answer what the generated code
// cannot read.
func FuzzHandlers(f *testing.F) {
	data := []byte("hello")
	d := sha256Of(data)
	seed := func(method byte, m proto.Message) {
		wire, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(method, wire, 7)
	}
	seed(0, &repb.FindMissingBlobsRequest{BlobDigests: []*repb.Digest{d, sha256Of(nil), sha256Of([]byte("x"))}})
	seed(1, updateRequest([][]byte{data, nil}))
	seed(2, &repb.BatchReadBlobsRequest{Digests: []*repb.Digest{d, sha256Of(nil), {}}, AcceptableCompressors: []repb.Compressor_Value{1}})
	seed(3, &bspb.QueryWriteStatusRequest{ResourceName: writeName(d)})
	seed(4, &repb.GetCapabilitiesRequest{InstanceName: "main"})
	seed(5, &bspb.ReadRequest{ResourceName: zstdName(d), ReadOffset: 2})
	seed(6, &bspb.WriteRequest{ResourceName: writeName(d), Data: data, FinishWrite: true})

	hn := start(f, reapi.Options{})
	hn.put(data)
	h := handlers{map[string]grpc.MethodDesc{}, map[string]grpc.StreamDesc{}}
	hn.srv.Register(h)
	f.Fuzz(func(t *testing.T, method byte, wire []byte, n int) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		m := fuzzedMethods[int(method)%len(fuzzedMethods)]
		s := &fuzzStream{stubStream: stubStream{ctx: ctx, codec: codec.New(), in: cut(wire, n)}, answer: proto.Clone(m.answer)}
		switch err := h.callRaw(m.name, s); status.Code(err) {
		case codes.Unknown, codes.Internal, codes.Unavailable, codes.DataLoss, codes.DeadlineExceeded:
			t.Errorf("%v", err)
		}
	})
}

// callRaw calls a handler of any type with the stream's message.
func (h handlers) callRaw(method string, s *fuzzStream) error {
	if d, ok := h.stream[method]; ok {
		return d.Handler(nil, s)
	}
	resp, err := h.unary[method].Handler(nil, s.ctx, s.RecvMsg, nil)
	if err != nil {
		return err
	}
	return s.SendMsg(resp)
}

// fuzzStream has its message twice, and takes only answers that are protobuf.
type fuzzStream struct {
	stubStream
	received int
	answer   proto.Message
}

func (s *fuzzStream) RecvMsg(v any) error {
	if s.received++; s.received > 2 {
		return io.EOF
	}
	return s.codec.Unmarshal(s.in, v)
}

func (s *fuzzStream) SendMsg(v any) error {
	out, err := s.codec.Marshal(v)
	if err != nil {
		return err
	}
	defer out.Free()
	return proto.Unmarshal(out.Materialize(), s.answer)
}

func cut(wire []byte, n int) (out mem.BufferSlice) {
	if n < 1 {
		n = max(len(wire), 1)
	}
	for len(wire) > 0 {
		k := min(n, len(wire))
		out = append(out, mem.SliceBuffer(wire[:k]))
		wire = wire[k:]
	}
	return out
}
