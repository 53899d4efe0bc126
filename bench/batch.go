package main

import (
	"bytes"
	"context"
	"fmt"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"
)

const (
	batchCount    = 100     // blobs in a batch
	batchBlobSize = 1 * kib // bytes of each
	// variants is how many requests are made beforehand and sent in turn,
	// where requests may repeat.
	variants = 64
	// setCount is how many small blobs stand behind such requests.
	setCount = 4096
)

// batchUpdate uploads batches of new blobs.
type batchUpdate struct {
	contents *contents
	space    uint64
	first    int
	digests  []*repb.Digest
}

func newBatchUpdate(c *contents, space uint64) operations {
	return &batchUpdate{contents: c, space: space}
}

func (b *batchUpdate) setup(context.Context, *caller) error { return nil }

func (b *batchUpdate) serial(i, k int) uint64 { return b.space + uint64(i*batchCount+k) }

func (b *batchUpdate) prepare(first, n int) {
	b.first, b.digests = first, make([]*repb.Digest, 0, n*batchCount)
	for i := range n {
		for k := range batchCount {
			b.digests = append(b.digests, b.contents.digest(blobID{batchBlobSize, b.serial(first+i, k)}))
		}
	}
}

func (b *batchUpdate) do(ctx context.Context, c *caller, i int) (int64, error) {
	room := c.room(batchCount * batchBlobSize)
	req := &repb.BatchUpdateBlobsRequest{
		DigestFunction: repb.DigestFunction_SHA256,
		Requests:       make([]*repb.BatchUpdateBlobsRequest_Request, batchCount),
	}
	for k := range batchCount {
		data := room[k*batchBlobSize:][:batchBlobSize]
		b.contents.fill(data, b.serial(i, k))
		req.Requests[k] = &repb.BatchUpdateBlobsRequest_Request{Digest: b.digests[(i-b.first)*batchCount+k], Data: data}
	}
	return batchCount * batchBlobSize, c.batchUpdate(ctx, req)
}

// batchRead downloads batches of blobs from a set.
type batchRead struct {
	set      []stored
	requests []*repb.BatchReadBlobsRequest
}

func newBatchRead(c *contents, space uint64) operations {
	b := &batchRead{set: newSet(c, batchBlobSize, setCount, space+setupSpace)}
	for v := range variants {
		req := &repb.BatchReadBlobsRequest{DigestFunction: repb.DigestFunction_SHA256}
		for k := range batchCount {
			req.Digests = append(req.Digests, b.at(v, k).digest)
		}
		b.requests = append(b.requests, req)
	}
	return b
}

// at returns blob k of request v.
func (b *batchRead) at(v, k int) stored {
	return b.set[scatter(uint64(v*batchCount+k), len(b.set))]
}

func (b *batchRead) setup(ctx context.Context, c *caller) error { return c.upload(ctx, b.set) }
func (b *batchRead) prepare(int, int)                           {}

func (b *batchRead) do(ctx context.Context, c *caller, i int) (int64, error) {
	v := i % variants
	resp, err := c.cas.BatchReadBlobs(ctx, b.requests[v])
	if err != nil {
		return 0, err
	}
	if len(resp.Responses) != batchCount {
		return 0, fmt.Errorf("batch of %d blobs got %d responses", batchCount, len(resp.Responses))
	}
	for k, r := range resp.Responses {
		if code := codes.Code(r.GetStatus().GetCode()); code != codes.OK || len(r.Data) != batchBlobSize {
			return 0, fmt.Errorf("blob %s in a batch: %v, %d bytes", r.GetDigest().GetHash(), code, len(r.Data))
		}
		if c.check && !bytes.Equal(r.Data, c.content.blob(b.at(v, k).id)) {
			return 0, fmt.Errorf("blob %s in a batch has other content", r.GetDigest().GetHash())
		}
	}
	return batchCount * batchBlobSize, nil
}

// findMissing asks for many digests of which every other is not there.
type findMissing struct {
	set      []stored
	requests []*repb.FindMissingBlobsRequest
}

// findCount is how many digests one request asks for.
const findCount = 1000

func newFindMissing(c *contents, space uint64) operations {
	f := &findMissing{set: newSet(c, batchBlobSize, setCount, space+setupSpace)}
	for v := range variants {
		req := &repb.FindMissingBlobsRequest{DigestFunction: repb.DigestFunction_SHA256}
		start := scatter(uint64(v), setCount)
		for k := range findCount / 2 {
			absent := c.digest(blobID{batchBlobSize, space + uint64(v*findCount+k)})
			req.BlobDigests = append(req.BlobDigests, f.set[(start+k)%setCount].digest, absent)
		}
		f.requests = append(f.requests, req)
	}
	return f
}

func (f *findMissing) setup(ctx context.Context, c *caller) error { return c.upload(ctx, f.set) }
func (f *findMissing) prepare(int, int)                           {}

func (f *findMissing) do(ctx context.Context, c *caller, i int) (int64, error) {
	req := f.requests[i%variants]
	resp, err := c.cas.FindMissingBlobs(ctx, req)
	if err != nil {
		return 0, err
	}
	if n := len(resp.MissingBlobDigests); n != findCount/2 {
		return 0, fmt.Errorf("%d blobs are missing, not %d", n, findCount/2)
	}
	if c.check {
		return 0, f.compare(req, resp)
	}
	return 0, nil
}

// compare checks that exactly the absent ones are named, in any order.
func (f *findMissing) compare(req *repb.FindMissingBlobsRequest, resp *repb.FindMissingBlobsResponse) error {
	absent := make(map[string]bool, findCount/2)
	for k := 1; k < findCount; k += 2 {
		absent[req.BlobDigests[k].Hash] = true
	}
	for _, d := range resp.MissingBlobDigests {
		if !absent[d.Hash] {
			return fmt.Errorf("blob %s is called missing and is there", d.Hash)
		}
		delete(absent, d.Hash)
	}
	return nil
}
