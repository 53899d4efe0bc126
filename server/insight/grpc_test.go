package insight

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	bspb "google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
)

const helloHash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

// acStub answers the action "hit", and the rest with the error that it has.
type acStub struct {
	repb.UnimplementedActionCacheServer
	err error
}

func (s acStub) GetActionResult(_ context.Context, req *repb.GetActionResultRequest) (*repb.ActionResult, error) {
	if req.GetInstanceName() == "hit" {
		return &repb.ActionResult{ExitCode: 1}, nil
	}
	return nil, s.err
}

// bsStub sends two messages of 5 bytes and takes any.
type bsStub struct {
	bspb.UnimplementedByteStreamServer
}

func (*bsStub) Read(_ *bspb.ReadRequest, s bspb.ByteStream_ReadServer) error {
	for range 2 {
		if err := s.Send(&bspb.ReadResponse{Data: []byte("hello")}); err != nil {
			return err
		}
	}
	return nil
}

func (*bsStub) Write(s bspb.ByteStream_WriteServer) error {
	for {
		if _, err := s.Recv(); errors.Is(err, io.EOF) {
			return s.SendAndClose(&bspb.WriteResponse{CommittedSize: 5})
		} else if err != nil {
			return err
		}
	}
}

// serve starts a server that i watches and returns a client's connection.
func serve(t *testing.T, i *Insight, acErr error) *grpc.ClientConn {
	t.Helper()
	l := bufconn.Listen(1 << 20)
	s := grpc.NewServer(append(i.GRPCOptions(), grpc.WaitForHandlers(true))...)
	repb.RegisterActionCacheServer(s, acStub{err: acErr})
	bspb.RegisterByteStreamServer(s, new(bsStub))
	go func() {
		if err := s.Serve(l); err != nil {
			t.Error(err)
		}
	}()
	conn, err := grpc.NewClient("passthrough:bufconn",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); s.Stop() })
	return conn
}

// accessLog returns a log and what reads its records.
func accessLog() (*slog.Logger, func(t *testing.T) []map[string]any) {
	buf := new(bytes.Buffer)
	return slog.New(slog.NewJSONHandler(buf, nil)), func(t *testing.T) []map[string]any {
		t.Helper()
		var records []map[string]any
		for line := range strings.Lines(buf.String()) {
			var r map[string]any
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			records = append(records, r)
		}
		return records
	}
}

// check compares the attributes named in want.
func check(t *testing.T, got map[string]any, want map[string]any) {
	t.Helper()
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s is %v, want %v, in %v", key, got[key], value, got)
		}
	}
}

func TestGRPCMetrics(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err  error
		want string
	}{
		"status":            {status.Error(codes.NotFound, "no"), "NotFound"},
		"wrapped status":    {errors.Join(status.Error(codes.DataLoss, "no")), "DataLoss"},
		"a context's error": {context.DeadlineExceeded, "DeadlineExceeded"},
		"any error":         {io.ErrUnexpectedEOF, "Unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := prometheus.NewRegistry()
			i := New(Options{Registerer: reg, Buckets: []float64{1, 100}})
			ac := repb.NewActionCacheClient(serve(t, i, tc.err))
			for range 2 {
				_, err := ac.GetActionResult(t.Context(), &repb.GetActionResultRequest{})
				if status.Code(err).String() != tc.want {
					t.Errorf("the client sees %v", err)
				}
			}
			if _, err := ac.GetActionResult(t.Context(), &repb.GetActionResultRequest{InstanceName: "hit"}); err != nil {
				t.Fatal(err)
			}
			const method = "/build.bazel.remote.execution.v2.ActionCache/GetActionResult"
			if n := testutil.ToFloat64(i.requests.WithLabelValues("grpc", method, tc.want)); n != 2 {
				t.Errorf("%v failed requests counted, want 2", n)
			}
			if n := testutil.ToFloat64(i.requests.WithLabelValues("grpc", method, "OK")); n != 1 {
				t.Errorf("%v answered requests counted, want 1", n)
			}
			if n := observations(t, reg, method); n != 3 {
				t.Errorf("%d durations measured, want 3", n)
			}
			if n := i.InFlight(); n != 0 {
				t.Errorf("%d requests in flight", n)
			}
		})
	}
}

// observations returns the count of the histogram of a method.
func observations(t *testing.T, reg *prometheus.Registry, method string) uint64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == "larder_request_duration_seconds" && l.GetValue() == method {
					return m.GetHistogram().GetSampleCount()
				}
			}
		}
	}
	return 0
}

// TestRule31 reads RequestMetadata into the access log.
func TestRule31(t *testing.T) {
	t.Parallel()
	log, records := accessLog()
	i := New(Options{AccessLog: log})
	ac := repb.NewActionCacheClient(serve(t, i, status.Error(codes.NotFound, "no")))
	md, err := proto.Marshal(&repb.RequestMetadata{
		ToolDetails:      &repb.ToolDetails{ToolName: "bazel", ToolVersion: "9.0.0"},
		ToolInvocationId: "1234-abcd",
	})
	if err != nil {
		t.Fatal(err)
	}
	req := &repb.GetActionResultRequest{InstanceName: "team/product", ActionDigest: &repb.Digest{Hash: helloHash, SizeBytes: 5}}
	ctx := metadata.AppendToOutgoingContext(t.Context(), metadataHeader, string(md))
	if _, err := ac.GetActionResult(ctx, req); status.Code(err) != codes.NotFound {
		t.Fatal(err)
	}
	broken := metadata.AppendToOutgoingContext(t.Context(), metadataHeader, "\xff\xff")
	if _, err := ac.GetActionResult(broken, req); status.Code(err) != codes.NotFound {
		t.Fatal("broken metadata changes the answer:", err)
	}
	got := records(t)
	if len(got) != 2 {
		t.Fatalf("%d records", len(got))
	}
	want := map[string]any{
		"msg": "access", "listener": "grpc", "code": "NotFound", "instance": "team/product", "digest": helloHash + "/5",
		"method": "/build.bazel.remote.execution.v2.ActionCache/GetActionResult",
		"peer":   "bufconn", "tool": "bazel/9.0.0", "invocation": "1234-abcd",
		"received": float64(proto.Size(req)), "sent": 0.0,
	}
	check(t, got[0], want)
	if _, ok := got[0]["duration"]; !ok {
		t.Error("no duration")
	}
	check(t, got[1], map[string]any{"invocation": nil, "tool": nil, "instance": "team/product"})
}

func TestStreamAccessLog(t *testing.T) {
	t.Parallel()
	log, records := accessLog()
	i := New(Options{AccessLog: log})
	bs := bspb.NewByteStreamClient(serve(t, i, nil))

	read, err := bs.Read(t.Context(), &bspb.ReadRequest{ResourceName: "team/blobs/" + helloHash + "/5"})
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = read.Recv()
	}
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	write, err := bs.Write(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := write.Send(&bspb.WriteRequest{ResourceName: "uploads/u/blobs/" + helloHash + "/5", Data: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := write.CloseAndRecv(); err != nil {
		t.Fatal(err)
	}
	got := records(t)
	if len(got) != 2 {
		t.Fatalf("%d records", len(got))
	}
	check(t, got[0], map[string]any{"method": "/google.bytestream.ByteStream/Read", "instance": "team", "digest": helloHash + "/5", "code": "OK", "sent": 14.0})
	one := proto.Size(&bspb.WriteRequest{ResourceName: "uploads/u/blobs/" + helloHash + "/5", Data: []byte("x")})
	check(t, got[1], map[string]any{"method": "/google.bytestream.ByteStream/Write", "instance": nil, "digest": helloHash + "/5", "code": "OK", "received": float64(3 * one)})
}

// What a client wrote does not fill the log.
func TestLongNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<20)
	action := &repb.Digest{Hash: long}
	name := long + "/blobs/" + helloHash + "/5"
	for _, c := range []struct {
		method string
		req    proto.Message
	}{
		{"/build.bazel.remote.execution.v2.ContentAddressableStorage/FindMissingBlobs", &repb.FindMissingBlobsRequest{InstanceName: long}},
		{"/build.bazel.remote.execution.v2.ActionCache/GetActionResult", &repb.GetActionResultRequest{InstanceName: long, ActionDigest: action}},
		{"/google.bytestream.ByteStream/Read", &bspb.ReadRequest{ResourceName: name}},
		{"/google.bytestream.ByteStream/Read", &bspb.ReadRequest{ResourceName: long}},
	} {
		wire, err := proto.Marshal(c.req)
		if err != nil {
			t.Fatal(err)
		}
		for _, req := range []any{c.req, rawMessage(wire)} {
			var r record
			r.readMessage(c.method, req)
			if len(r.instance)+len(r.digest) > 2000 {
				t.Errorf("%s, a %T: instance of %d bytes, digest of %d", c.method, req, len(r.instance), len(r.digest))
			}
		}
	}
}

// rawMessage is a message that was not parsed, as package codec has them.
type rawMessage []byte

func (m rawMessage) Bytes() []byte { return m }
func (m rawMessage) Len() int      { return len(m) }

func TestRawMessages(t *testing.T) {
	t.Parallel()
	d := &repb.Digest{Hash: helloHash, SizeBytes: 5}
	for _, tc := range []struct {
		method           string
		msg              proto.Message
		instance, digest string
	}{
		{"/build.bazel.remote.execution.v2.ActionCache/UpdateActionResult", &repb.UpdateActionResultRequest{InstanceName: "i", ActionDigest: d, ActionResult: &repb.ActionResult{ExitCode: 1}}, "i", helloHash + "/5"},
		{"/build.bazel.remote.execution.v2.ActionCache/GetActionResult", &repb.GetActionResultRequest{ActionDigest: d}, "", helloHash + "/5"},
		{"/build.bazel.remote.execution.v2.ContentAddressableStorage/FindMissingBlobs", &repb.FindMissingBlobsRequest{InstanceName: "i", BlobDigests: []*repb.Digest{d}}, "i", ""},
		{"/build.bazel.remote.execution.v2.Capabilities/GetCapabilities", &repb.GetCapabilitiesRequest{InstanceName: "i"}, "i", ""},
		{"/google.bytestream.ByteStream/Read", &bspb.ReadRequest{ResourceName: "i/blobs/" + helloHash + "/5"}, "i", helloHash + "/5"},
		{"/google.bytestream.ByteStream/Read", &bspb.ReadRequest{ResourceName: "nonsense"}, "", "nonsense"},
		{"/grpc.health.v1.Health/Check", &repb.GetCapabilitiesRequest{InstanceName: "service"}, "", ""},
	} {
		wire, err := proto.Marshal(tc.msg)
		if err != nil {
			t.Fatal(err)
		}
		var r record
		r.readMessage(tc.method, rawMessage(wire))
		if r.instance != tc.instance || r.digest != tc.digest {
			t.Errorf("%s: instance %q, digest %q", tc.method, r.instance, r.digest)
		}
	}
}

func FuzzRawMessage(f *testing.F) {
	f.Add([]byte("\x0a\x01i\x12\x02\x0a\x00"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		for _, method := range []string{"/a.ActionCache/b", "/a.ByteStream/b", "/a.ContentAddressableStorage/b", "", "/"} {
			new(record).readMessage(method, rawMessage(data))
		}
	})
}

// TestUnaryCostsNoAllocation keeps the interceptor off the list of what a
// request costs.
func TestUnaryCostsNoAllocation(t *testing.T) {
	i := New(Options{Buckets: []float64{.001, 1}})
	info := &grpc.UnaryServerInfo{FullMethod: "/a.B/C"}
	handle := func(context.Context, any) (any, error) { return nil, nil }
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() { _, _ = i.unary(ctx, nil, info, handle) }); n != 0 {
		t.Errorf("%v allocations a request", n)
	}
}

func BenchmarkUnary(b *testing.B) {
	i := New(Options{Buckets: []float64{.0001, .001, .01, .1, 1}})
	info := &grpc.UnaryServerInfo{FullMethod: "/a.B/C"}
	handle := func(context.Context, any) (any, error) { return nil, nil }
	b.ReportAllocs()
	for b.Loop() {
		_, _ = i.unary(b.Context(), nil, info, handle)
	}
}
