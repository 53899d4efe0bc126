package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/klauspost/compress/zstd"
	bspb "google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc/codes"
)

const (
	// writeMessageBytes is how much content goes in one message of a Write:
	// what Bazel sends.
	writeMessageBytes = 16 << 10
	// batchBytes is how much the set-up sends in one batch.
	batchBytes = 1 << 20
	// streamFrom is the size from which the set-up sends a blob by itself.
	streamFrom = 64 << 10
)

// errThere is the answer to a write whose blob the server had already.
var errThere = errors.New("the blob was there already: the server keeps blobs between runs, use another --seed")

func readName(d *repb.Digest) string {
	return fmt.Sprintf("blobs/%s/%d", d.Hash, d.SizeBytes)
}

func readNameZstd(d *repb.Digest) string {
	return fmt.Sprintf("compressed-blobs/zstd/%s/%d", d.Hash, d.SizeBytes)
}

// writeName makes the resource name of an upload out of the one to read by.
func writeName(serial uint64, name string) string {
	return fmt.Sprintf("uploads/00000000-0000-4000-8000-%012x/%s", serial&(1<<48-1), name)
}

// write uploads data as the content of the named resource.
func (c *caller) write(ctx context.Context, name string, data []byte) error {
	stream, err := c.bytes.Write(ctx)
	if err != nil {
		return err
	}
	req := &bspb.WriteRequest{ResourceName: name}
	for off := 0; !req.FinishWrite; off += len(req.Data) {
		end := min(off+writeMessageBytes, len(data))
		req.WriteOffset, req.Data, req.FinishWrite = int64(off), data[off:end], end == len(data)
		if err := stream.Send(req); err == io.EOF {
			break // the server has answered: its answer says why
		} else if err != nil {
			return err
		}
		req.ResourceName = ""
	}
	resp, err := stream.CloseAndRecv()
	switch {
	case err != nil:
		return err
	case !req.FinishWrite:
		return errThere
	case resp.CommittedSize != int64(len(data)) && !(resp.CommittedSize == -1 && strings.Contains(name, "compressed-blobs")):
		return fmt.Errorf("write of %d bytes was answered with committed_size %d", len(data), resp.CommittedSize)
	}
	return nil
}

// read downloads the named resource into sink and returns its length.
func (c *caller) read(ctx context.Context, name string, sink io.Writer) (int64, error) {
	stream, err := c.bytes.Read(ctx, &bspb.ReadRequest{ResourceName: name})
	if err != nil {
		return 0, err
	}
	var n int64
	for {
		resp, err := stream.Recv()
		if err == io.EOF {
			return n, nil
		} else if err != nil {
			return n, err
		}
		n += int64(len(resp.Data))
		if _, err := sink.Write(resp.Data); err != nil {
			return n, err
		}
	}
}

// fetch downloads a URL into sink and returns its length.
func (c *caller) fetch(ctx context.Context, url string, sink io.Writer) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	resp, err := c.target.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	// Without the wrapper io.Discard would read in pieces of 8 KiB.
	return io.CopyBuffer(struct{ io.Writer }{sink}, resp.Body, c.room(256<<10))
}

// comparer is a sink that fails on the first byte that is not the wanted one.
type comparer struct {
	rest []byte
}

func (w *comparer) Write(p []byte) (int, error) {
	if !bytes.HasPrefix(w.rest, p) {
		return 0, errors.New("the server's answer is not the blob's content")
	}
	w.rest = w.rest[len(p):]
	return len(p), nil
}

// sink returns where the content of a read goes: nowhere, or through a
// comparison when the caller is to check.
func (c *caller) sink(id blobID) io.Writer {
	if !c.check {
		return io.Discard
	}
	return &comparer{c.content.blob(id)}
}

// readBlob downloads the blob and checks its length.
func (c *caller) readBlob(ctx context.Context, name string, id blobID) (int64, error) {
	n, err := c.read(ctx, name, c.sink(id))
	return n, checkLength(n, id, err)
}

func checkLength(n int64, id blobID, err error) error {
	if err == nil && n != int64(id.size) {
		return fmt.Errorf("read of %d bytes returned %d", id.size, n)
	}
	return err
}

// readZstd downloads the blob in zstd. The length is the server's to choose.
func (c *caller) readZstd(ctx context.Context, name string, id blobID) (int64, error) {
	if !c.check {
		return c.read(ctx, name, io.Discard)
	}
	var packed bytes.Buffer
	n, err := c.read(ctx, name, &packed)
	if err != nil {
		return n, err
	}
	dec, err := zstd.NewReader(&packed, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return n, err
	}
	defer dec.Close()
	plain, err := dec.WriteTo(&comparer{c.content.blob(id)})
	return n, checkLength(plain, id, err)
}

// stored is a blob of the set-up.
type stored struct {
	id     blobID
	digest *repb.Digest
	name   string // to read it by
}

// newSet names count blobs of a size, of serial numbers from first on.
func newSet(c *contents, size, count int, first uint64) []stored {
	set := make([]stored, count)
	for i := range set {
		id := blobID{size, first + uint64(i)}
		d := c.digest(id)
		set[i] = stored{id, d, readName(d)}
	}
	return set
}

// upload brings the blobs to the server, small ones in batches.
func (c *caller) upload(ctx context.Context, set []stored) error {
	req, bytes := &repb.BatchUpdateBlobsRequest{DigestFunction: repb.DigestFunction_SHA256}, 0
	for _, s := range set {
		if s.id.size >= streamFrom {
			err := c.write(ctx, writeName(s.id.serial, s.name), c.content.blob(s.id))
			if err != nil && !errors.Is(err, errThere) {
				return err
			}
			continue
		}
		data := make([]byte, s.id.size)
		c.content.contents.fill(data, s.id.serial)
		req.Requests = append(req.Requests, &repb.BatchUpdateBlobsRequest_Request{Digest: s.digest, Data: data})
		if bytes += len(data); bytes >= batchBytes {
			if err := c.batchUpdate(ctx, req); err != nil {
				return err
			}
			req.Requests, bytes = nil, 0
		}
	}
	if bytes == 0 {
		return nil
	}
	return c.batchUpdate(ctx, req)
}

// batchUpdate sends a batch and fails if any blob of it did.
func (c *caller) batchUpdate(ctx context.Context, req *repb.BatchUpdateBlobsRequest) error {
	resp, err := c.cas.BatchUpdateBlobs(ctx, req)
	if err != nil {
		return err
	}
	if len(resp.Responses) != len(req.Requests) {
		return fmt.Errorf("batch of %d blobs got %d responses", len(req.Requests), len(resp.Responses))
	}
	for _, r := range resp.Responses {
		if code := codes.Code(r.GetStatus().GetCode()); code != codes.OK {
			return fmt.Errorf("blob %s in a batch: %v: %s", r.GetDigest().GetHash(), code, r.GetStatus().GetMessage())
		}
	}
	return nil
}
