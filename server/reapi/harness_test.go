package reapi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	bspb "google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/memory"
	"github.com/larder-build/larder/server/reapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// harness is a server over a real connection and the generated clients.
type harness struct {
	tb    testing.TB
	store *faultyStore
	srv   *reapi.Server
	reg   *prometheus.Registry
	addr  string
	conn  *grpc.ClientConn

	cas  repb.ContentAddressableStorageClient
	ac   repb.ActionCacheClient
	caps repb.CapabilitiesClient
	bs   bspb.ByteStreamClient
}

// start serves a memory store, unless opts has a store. All of it stops with
// the test.
func start(tb testing.TB, opts reapi.Options) *harness {
	tb.Helper()
	if opts.Store == nil {
		opts.Store = memory.New(memory.Options{MaxBytes: 1 << 30})
	}
	h := &harness{tb: tb, store: &faultyStore{Store: opts.Store}, reg: prometheus.NewRegistry()}
	opts.Store, opts.Registerer = h.store, h.reg
	h.srv = reapi.New(opts)
	gs := grpc.NewServer(h.srv.GRPCOptions()...)
	h.srv.Register(gs)
	tb.Cleanup(h.srv.Close) // after the gRPC server has stopped
	h.addr = serve(tb, gs)
	h.conn = h.dial()
	h.cas = repb.NewContentAddressableStorageClient(h.conn)
	h.ac = repb.NewActionCacheClient(h.conn)
	h.caps = repb.NewCapabilitiesClient(h.conn)
	h.bs = bspb.NewByteStreamClient(h.conn)
	return h
}

// serve runs a gRPC server on a loopback port until the test ends.
func serve(tb testing.TB, gs *grpc.Server) (addr string) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := gs.Serve(l); err != nil {
			tb.Errorf("Serve: %v", err)
		}
	})
	tb.Cleanup(func() {
		gs.Stop()
		wg.Wait()
	})
	return l.Addr().String()
}

// dial opens another connection, which closes with the test.
func (h *harness) dial(opts ...grpc.DialOption) *grpc.ClientConn {
	h.tb.Helper()
	conn, err := grpc.NewClient(h.addr, append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		h.tb.Fatal(err)
	}
	h.tb.Cleanup(func() { conn.Close() })
	return conn
}

// ctx is the context of a call that must not hang.
func (h *harness) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	h.tb.Cleanup(cancel)
	return ctx
}

// metric returns the value of a counter or gauge.
func (h *harness) metric(name string) float64 {
	h.tb.Helper()
	families, err := h.reg.Gather()
	if err != nil {
		h.tb.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.Metric[0].GetCounter().GetValue() + f.Metric[0].GetGauge().GetValue()
		}
	}
	h.tb.Fatalf("no metric %s", name)
	return 0
}

// put stores data and returns its SHA-256 digest.
func (h *harness) put(data []byte) *repb.Digest { return h.putAs(digest.SHA256, "", data) }

func (h *harness) putAs(fn digest.Function, instance string, data []byte) *repb.Digest {
	h.tb.Helper()
	d := digest.Of(fn, data)
	h.putBlob(blobstore.Blob{Spec: blobstore.Spec{Key: blobstore.Namespace{}.CAS(instance, d), Size: d.Size()}, Data: data})
	return protoDigest(d)
}

// putZstd stores data compressed.
func (h *harness) putZstd(data []byte) *repb.Digest {
	h.tb.Helper()
	d := digest.Of(digest.SHA256, data)
	h.putBlob(blobstore.Blob{Spec: blobstore.Spec{Key: blobstore.Namespace{}.CAS("", d), Size: d.Size(), Encoding: blobstore.Zstd}, Data: compress(data)})
	return protoDigest(d)
}

func (h *harness) putBlob(b blobstore.Blob) {
	h.tb.Helper()
	if err := h.store.Store.Put(h.ctx(), []blobstore.Blob{b})[0]; err != nil {
		h.tb.Fatal(err)
	}
}

// has tells whether the store has the blob.
func (h *harness) has(d *repb.Digest) bool {
	h.tb.Helper()
	parsed, err := digest.Parse(digest.SHA256, d.GetHash(), d.GetSizeBytes())
	if err != nil {
		h.tb.Fatal(err)
	}
	missing, err := h.store.Store.FindMissing(h.ctx(), []blobstore.Key{blobstore.Namespace{}.CAS("", parsed)})
	if err != nil {
		h.tb.Fatal(err)
	}
	return len(missing) == 0
}

// read returns all that a Read sends, and how many messages it took.
func (h *harness) read(req *bspb.ReadRequest) (data []byte, messages int, err error) {
	h.tb.Helper()
	stream, err := h.bs.Read(h.ctx(), req)
	if err != nil {
		h.tb.Fatal(err)
	}
	for {
		resp, err := stream.Recv()
		if err == io.EOF {
			return data, messages, nil
		}
		if err != nil {
			return data, messages, err
		}
		data = append(data, resp.GetData()...)
		messages++
	}
}

// write sends messages in one stream and returns the answer.
func (h *harness) write(messages ...*bspb.WriteRequest) (*bspb.WriteResponse, error) {
	h.tb.Helper()
	stream, err := h.bs.Write(h.ctx())
	if err != nil {
		h.tb.Fatal(err)
	}
	for _, m := range messages {
		if err := stream.Send(m); err == io.EOF {
			break // the server has answered
		} else if err != nil {
			h.tb.Fatal(err)
		}
	}
	return stream.CloseAndRecv()
}

// chunked returns the messages of an upload of data in chunks of n bytes, with
// the name in the first message only.
func chunked(name string, data []byte, n int) []*bspb.WriteRequest {
	var out []*bspb.WriteRequest
	for at := 0; ; at += n {
		end := min(at+n, len(data))
		out = append(out, &bspb.WriteRequest{WriteOffset: int64(at), Data: data[at:end], FinishWrite: end == len(data)})
		if end == len(data) {
			out[0].ResourceName = name
			return out
		}
	}
}

// query asks for an upload's state.
func (h *harness) query(name string) (*bspb.QueryWriteStatusResponse, error) {
	return h.bs.QueryWriteStatus(h.ctx(), &bspb.QueryWriteStatusRequest{ResourceName: name})
}

func protoDigest(d digest.Digest) *repb.Digest {
	return &repb.Digest{Hash: d.Hex(), SizeBytes: d.Size()}
}

func sha256Of(data []byte) *repb.Digest { return protoDigest(digest.Of(digest.SHA256, data)) }

const uploadID = "0d9ad1ca-2c4c-4f33-95a6-8e5a7a4e7a53"

func readName(d *repb.Digest) string      { return fmt.Sprintf("blobs/%s/%d", d.Hash, d.SizeBytes) }
func zstdName(d *repb.Digest) string      { return "compressed-blobs/zstd" + readName(d)[len("blobs"):] }
func writeName(d *repb.Digest) string     { return "uploads/" + uploadID + "/" + readName(d) }
func writeZstdName(d *repb.Digest) string { return "uploads/" + uploadID + "/" + zstdName(d) }

// random returns n bytes that do not compress, the same for each seed.
func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), 1})
	r.Read(b)
	return b
}

// text returns n bytes that compress well.
func text(seed uint64, n int) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "line %d of a text that compresses\n", seed), n/8+1)[:n]
}

func compress(data []byte) []byte {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic(err)
	}
	defer e.Close()
	return e.EncodeAll(data, nil)
}

func decompress(tb testing.TB, data []byte) []byte {
	tb.Helper()
	d, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1))
	if err != nil {
		tb.Fatal(err)
	}
	defer d.Close()
	out, err := io.ReadAll(d)
	if err != nil {
		tb.Fatalf("decompressing: %v", err)
	}
	return out
}

// wantCode fails the test unless err has the code and its message all the
// words.
func wantCode(tb testing.TB, err error, want codes.Code, words ...string) {
	tb.Helper()
	if got := status.Code(err); got != want {
		tb.Errorf("code %v, want %v: %v", got, want, err)
	}
	for _, w := range words {
		if !bytes.Contains([]byte(status.Convert(err).Message()), []byte(w)) {
			tb.Errorf("message %q does not say %q", status.Convert(err).Message(), w)
		}
	}
}

// eventually polls until ok, or fails the test.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-poll.C:
		case <-deadline:
			tb.Fatalf("waited in vain: %s", what)
		}
	}
}

// faultyStore fails when told to, and counts.
type faultyStore struct {
	blobstore.Store
	mu sync.Mutex
	faults
	creates, puts, finds int
}

// faults are what the next calls return.
type faults struct {
	getErr, putErr, createErr, findErr error
	// readerErr is what readers fail with from that offset on.
	readerErr   error
	readerErrAt int64
}

func (s *faultyStore) set(f func(*faults)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.faults)
}

func (s *faultyStore) counts() (creates, puts, finds int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.creates, s.puts, s.finds
}

func (s *faultyStore) Get(ctx context.Context, key blobstore.Key) (blobstore.Reader, error) {
	s.mu.Lock()
	err, readerErr, at := s.getErr, s.readerErr, s.readerErrAt
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	r, err := s.Store.Get(ctx, key)
	if err != nil || readerErr == nil {
		return r, err
	}
	return &faultyReader{Reader: r, err: readerErr, left: at}, nil
}

// faultyReader fails after some bytes.
type faultyReader struct {
	blobstore.Reader
	err  error
	left int64
}

func (r *faultyReader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, r.err
	}
	n, err := r.Reader.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	return n, err
}

func (s *faultyStore) Create(ctx context.Context, spec blobstore.Spec) (blobstore.Writer, error) {
	s.mu.Lock()
	s.creates++
	err := s.createErr
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return s.Store.Create(ctx, spec)
}

func (s *faultyStore) Put(ctx context.Context, blobs []blobstore.Blob) []error {
	s.mu.Lock()
	s.puts++
	err := s.putErr
	s.mu.Unlock()
	if err != nil {
		out := make([]error, len(blobs))
		for i := range out {
			out[i] = err
		}
		return out
	}
	return s.Store.Put(ctx, blobs)
}

func (s *faultyStore) FindMissing(ctx context.Context, keys []blobstore.Key) ([]int, error) {
	s.mu.Lock()
	s.finds++
	err := s.findErr
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return s.Store.FindMissing(ctx, keys)
}

// storeErrors are what stores answer with, and the code that a client must see.
var storeErrors = []struct {
	err   error
	code  codes.Code
	retry bool
}{
	{fmt.Errorf("backend: %w", blobstore.ErrUnavailable), codes.Unavailable, true},
	{fmt.Errorf("shut: %w", blobstore.ErrClosed), codes.Unavailable, true},
	{fmt.Errorf("sector 7: %w", blobstore.ErrCorrupt), codes.DataLoss, false},
	{fmt.Errorf("disk: %w", blobstore.ErrNoSpace), codes.ResourceExhausted, true},
	{fmt.Errorf("whale: %w", blobstore.ErrTooLarge), codes.InvalidArgument, false},
	{&blobstore.MismatchError{Reason: "no"}, codes.InvalidArgument, false},
	{errors.New("something else"), codes.Internal, false},
}
