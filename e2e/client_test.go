package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/google/uuid"
	"github.com/klauspost/compress/zstd"
	bspb "google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/larder-build/larder/internal/testenv"
)

// client speaks the protocols by hand, a call at a time, so that a test knows
// exactly what was acknowledged.
type client struct {
	cas  repb.ContentAddressableStorageClient
	ac   repb.ActionCacheClient
	caps repb.CapabilitiesClient
	bs   bspb.ByteStreamClient
	http *http.Client
	base string // of URLs
	enc  *zstd.Encoder
	dec  *zstd.Decoder
}

func dial(t *testing.T, server *testenv.Server) *client {
	t.Helper()
	conn, err := grpc.NewClient(server.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)),
		// A killed server is looked for again at once.
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: time.Millisecond, Multiplier: 1, MaxDelay: 5 * time.Millisecond}, MinConnectTimeout: time.Second}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	dec, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dec.Close)
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16}
	t.Cleanup(transport.CloseIdleConnections)
	return &client{
		cas: repb.NewContentAddressableStorageClient(conn), ac: repb.NewActionCacheClient(conn),
		caps: repb.NewCapabilitiesClient(conn), bs: bspb.NewByteStreamClient(conn),
		http: &http.Client{Transport: transport}, base: "http://" + server.HTTP,
		enc: enc, dec: dec,
	}
}

// chunk is the size of the messages that a stream is written in, as Bazel's.
const chunk = 16 << 10

func (c *client) write(ctx context.Context, d *repb.Digest, data []byte) error {
	name := fmt.Sprintf("uploads/%s/blobs/%s/%d", uuid.New(), d.GetHash(), d.GetSizeBytes())
	return c.stream(ctx, name, data)
}

func (c *client) writeZstd(ctx context.Context, d *repb.Digest, data []byte) error {
	name := fmt.Sprintf("uploads/%s/compressed-blobs/zstd/%s/%d", uuid.New(), d.GetHash(), d.GetSizeBytes())
	return c.stream(ctx, name, c.enc.EncodeAll(data, nil))
}

func (c *client) stream(ctx context.Context, name string, data []byte) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.bs.Write(ctx)
	if err != nil {
		return err
	}
	for offset := 0; ; offset += chunk {
		end := min(offset+chunk, len(data))
		req := &bspb.WriteRequest{ResourceName: name, WriteOffset: int64(offset), Data: data[offset:end], FinishWrite: end == len(data)}
		if err := stream.Send(req); err != nil && !errors.Is(err, io.EOF) {
			return err
		} else if err != nil || req.GetFinishWrite() {
			break // an EOF means that the answer is there already
		}
		name = ""
	}
	_, err = stream.CloseAndRecv()
	return err
}

// batch writes several blobs in one call. The answer has an error or nil each.
func (c *client) batch(ctx context.Context, compressor repb.Compressor_Value, blobs [][]byte) []error {
	req := &repb.BatchUpdateBlobsRequest{DigestFunction: repb.DigestFunction_SHA256}
	index := make(map[string]int)
	for i, data := range blobs {
		d := digestOf(data)
		index[d.GetHash()] = i
		if compressor == repb.Compressor_ZSTD {
			data = c.enc.EncodeAll(data, nil)
		}
		req.Requests = append(req.Requests, &repb.BatchUpdateBlobsRequest_Request{Digest: d, Data: data, Compressor: compressor})
	}
	errs := make([]error, len(blobs))
	resp, err := c.cas.BatchUpdateBlobs(ctx, req)
	if err == nil && len(resp.GetResponses()) != len(blobs) {
		err = fmt.Errorf("%d responses to a batch of %d", len(resp.GetResponses()), len(blobs))
	}
	if err != nil {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	for _, r := range resp.GetResponses() {
		errs[index[r.GetDigest().GetHash()]] = status.ErrorProto(r.GetStatus())
	}
	return errs
}

func (c *client) read(ctx context.Context, d *repb.Digest) ([]byte, error) {
	return c.collect(ctx, fmt.Sprintf("blobs/%s/%d", d.GetHash(), d.GetSizeBytes()))
}

func (c *client) readZstd(ctx context.Context, d *repb.Digest) ([]byte, error) {
	data, err := c.collect(ctx, fmt.Sprintf("compressed-blobs/zstd/%s/%d", d.GetHash(), d.GetSizeBytes()))
	if err != nil {
		return nil, err
	}
	return c.dec.DecodeAll(data, nil)
}

// collect returns what arrived, also when the stream fails after it.
func (c *client) collect(ctx context.Context, name string) ([]byte, error) {
	stream, err := c.bs.Read(ctx, &bspb.ReadRequest{ResourceName: name})
	if err != nil {
		return nil, err
	}
	var data []byte
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return data, nil
		}
		if err != nil {
			return data, err
		}
		data = append(data, resp.GetData()...)
	}
}

func (c *client) batchRead(ctx context.Context, d *repb.Digest) ([]byte, error) {
	resp, err := c.cas.BatchReadBlobs(ctx, &repb.BatchReadBlobsRequest{Digests: []*repb.Digest{d}})
	if err != nil {
		return nil, err
	}
	if len(resp.GetResponses()) != 1 {
		return nil, fmt.Errorf("%d responses to one digest", len(resp.GetResponses()))
	}
	r := resp.GetResponses()[0]
	return r.GetData(), status.ErrorProto(r.GetStatus())
}

func (c *client) missing(ctx context.Context, digests ...*repb.Digest) ([]*repb.Digest, error) {
	resp, err := c.cas.FindMissingBlobs(ctx, &repb.FindMissingBlobsRequest{BlobDigests: digests})
	return resp.GetMissingBlobDigests(), err
}

// httpError is an answer that is not 2xx.
type httpError struct {
	code int
	body string
}

func (e *httpError) Error() string { return fmt.Sprintf("http %d: %s", e.code, e.body) }

// put writes to "/cas/hash" or "/ac/hash".
func (c *client) put(ctx context.Context, path string, data []byte, encoding string) error {
	if encoding == "zstd" {
		data = c.enc.EncodeAll(data, nil)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, c.base+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	if encoding != "" {
		req.Header.Set("Content-Encoding", encoding)
	}
	_, err = c.do(req)
	return err
}

func (c *client) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	return c.do(req)
}

func (c *client) do(req *http.Request) ([]byte, error) {
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = &httpError{resp.StatusCode, string(body)}
	}
	return body, err
}
