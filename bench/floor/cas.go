package main

import (
	"context"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

type casServer struct {
	repb.UnimplementedContentAddressableStorageServer
	store *store
}

func (c *casServer) FindMissingBlobs(_ context.Context, req *repb.FindMissingBlobsRequest) (*repb.FindMissingBlobsResponse, error) {
	for _, d := range req.GetBlobDigests() {
		if err := checkDigest(d); err != nil {
			return nil, err
		}
	}
	return &repb.FindMissingBlobsResponse{MissingBlobDigests: c.store.missing(req.GetBlobDigests())}, nil
}

func (c *casServer) BatchUpdateBlobs(_ context.Context, req *repb.BatchUpdateBlobsRequest) (*repb.BatchUpdateBlobsResponse, error) {
	resp := &repb.BatchUpdateBlobsResponse{Responses: make([]*repb.BatchUpdateBlobsResponse_Response, 0, len(req.GetRequests()))}
	for _, r := range req.GetRequests() {
		resp.Responses = append(resp.Responses, &repb.BatchUpdateBlobsResponse_Response{
			Digest: r.GetDigest(),
			Status: status.Convert(c.update(r)).Proto(),
		})
	}
	return resp, nil
}

func (c *casServer) update(r *repb.BatchUpdateBlobsRequest_Request) error {
	if r.GetCompressor() != repb.Compressor_IDENTITY {
		return status.Errorf(codes.InvalidArgument, "compressor %v is not offered in batches", r.GetCompressor())
	}
	if err := verify(r.GetDigest(), r.GetData()); err != nil {
		return err
	}
	// Unmarshalling gave every blob its own bytes, so they can be kept.
	c.store.put(r.GetDigest().GetHash(), blob{data: r.GetData()})
	return nil
}

func (c *casServer) BatchReadBlobs(_ context.Context, req *repb.BatchReadBlobsRequest) (*repb.BatchReadBlobsResponse, error) {
	resp := &repb.BatchReadBlobsResponse{Responses: make([]*repb.BatchReadBlobsResponse_Response, 0, len(req.GetDigests()))}
	var total int64
	for _, d := range req.GetDigests() {
		if total += max(d.GetSizeBytes(), 0); total > maxBatchBytes {
			return nil, status.Errorf(codes.InvalidArgument, "batch is over the limit of %d bytes", maxBatchBytes)
		}
		resp.Responses = append(resp.Responses, c.read(d))
	}
	return resp, nil
}

func (c *casServer) read(d *repb.Digest) *repb.BatchReadBlobsResponse_Response {
	b, ok := c.store.get(d.GetHash(), d.GetSizeBytes())
	if !ok {
		err := status.Newf(codes.NotFound, "no blob %s/%d", d.GetHash(), d.GetSizeBytes())
		return &repb.BatchReadBlobsResponse_Response{Digest: d, Status: err.Proto()}
	}
	return &repb.BatchReadBlobsResponse_Response{Digest: d, Data: b.data}
}
