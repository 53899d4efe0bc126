package reapi

import (
	"context"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/reapi/codec"
)

// casDesc describes the ContentAddressableStorage service.
func (s *Server) casDesc() *grpc.ServiceDesc {
	d := service(casService, executionProto)
	d.Methods = []grpc.MethodDesc{
		s.unary(casService, "FindMissingBlobs", s.findMissing),
		s.unaryWithin(s.requests, s.opts.MaxBatchBytes, casService, "BatchUpdateBlobs", s.batchUpdate),
		s.unary(casService, "BatchReadBlobs", s.batchRead),
		s.unary(casService, "SplitBlob", unsupportedUnary),
		s.unary(casService, "SpliceBlob", unsupportedUnary),
	}
	d.Streams = []grpc.StreamDesc{
		s.serverStream("GetTree", s.getTree),
		s.serverStream("GetChunkMapping", unsupportedStream),
		{StreamName: "RegisterChunkMapping", ClientStreams: true, Handler: func(any, grpc.ServerStream) error { return errUnsupported }},
	}
	return d
}

// errUnsupported answers the RPCs that the capabilities do not advertise.
var errUnsupported = status.Error(codes.Unimplemented, "this server does not split or splice blobs, and its capabilities do not say so (split_blob_support, splice_blob_support)")

func unsupportedUnary(context.Context, *codec.Request) (any, error) { return nil, errUnsupported }
func unsupportedStream(*codec.Request, grpc.ServerStream) error     { return errUnsupported }

// keptDigests is how many digests' worth of memory a call leaves for the next.
const keptDigests = 16 << 10

// findMissingCall is the memory of a FindMissingBlobs call.
type findMissingCall struct {
	req  codec.FindMissing
	keys []blobstore.Key
	// at has the index in req.Digests of each key.
	at []int
}

// findMissing implements FindMissingBlobs (rules 1, 8 and 18).
func (s *Server) findMissing(ctx context.Context, req *codec.Request) (any, error) {
	c := s.findMissings.Get().(*findMissingCall)
	defer func() {
		if cap(c.keys) <= keptDigests {
			s.findMissings.Put(c)
		}
	}()
	if err := c.req.Decode(req); err != nil {
		return nil, malformed(err)
	}
	if err := c.parse(s.opts.Namespace); err != nil {
		return nil, err
	}
	missing, err := s.store.FindMissing(ctx, c.keys)
	if err != nil {
		return nil, statusErr(err)
	}
	if len(c.at) == len(c.req.Digests) {
		return c.req.Response(missing), nil
	}
	indexes := make([]int, len(missing))
	for i, k := range missing {
		indexes[i] = c.at[k]
	}
	return c.req.Response(indexes), nil
}

// parse makes keys of the digests. The empty blob is never missing (rule 1),
// so the store is not asked for it.
func (c *findMissingCall) parse(ns blobstore.Namespace) error {
	c.keys, c.at = c.keys[:0], c.at[:0]
	if err := checkInstance(c.req.Instance); err != nil {
		return err
	}
	fn := digest.Unknown
	for i := range c.req.Digests {
		wire, err := c.req.Digest(i)
		if err != nil {
			return malformed(err)
		}
		if fn == digest.Unknown {
			if fn, err = resolveFunction(c.req.Function, len(wire.Hash)); err != nil {
				return err
			}
		}
		d, err := digest.Parse(fn, wire.Hash, wire.Size)
		if err != nil {
			return invalid("blob_digests[%d]: %v", i, err)
		}
		if !d.IsEmptyBlob() {
			c.keys = append(c.keys, ns.CAS(c.req.Instance, d))
			c.at = append(c.at, i)
		}
	}
	return nil
}

// exists tells whether the CAS has the blob of the one key; the empty one it
// always has (rule 1).
func (s *Server) exists(ctx context.Context, key []blobstore.Key) (bool, error) {
	if key[0].Digest.IsEmptyBlob() {
		return true, nil
	}
	missing, err := s.store.FindMissing(ctx, key)
	return err == nil && len(missing) == 0, err
}

// batchUpdateCall is the memory of a BatchUpdateBlobs call.
type batchUpdateCall struct {
	req    codec.BatchUpdate
	blobs  []blobstore.Blob
	at     []int // the index in req.Blobs of each blob
	status []codec.Status
}

// reset forgets what c points to, so that its memory can be kept.
func (c *batchUpdateCall) reset() {
	clear(c.req.Blobs)
	clear(c.blobs)
	clear(c.status)
}

// batchUpdate implements BatchUpdateBlobs (rules 2, 4, 8, 19 and 27).
func (s *Server) batchUpdate(ctx context.Context, req *codec.Request) (any, error) {
	if err := s.checkWritable(); err != nil {
		return nil, err
	}
	c := s.batchUpdates.Get().(*batchUpdateCall)
	defer func() {
		if c.reset(); cap(c.blobs) <= keptDigests {
			s.batchUpdates.Put(c)
		}
	}()
	if err := c.req.Decode(req); err != nil {
		return nil, malformed(err)
	}
	if err := s.checkBatchUpdate(&c.req); err != nil {
		return nil, err
	}
	fn, err := batchFunction(c.req.Function, func(yield func([]byte) bool) {
		for i := range c.req.Blobs {
			if !yield(c.req.Blobs[i].Digest.Hash) {
				return
			}
		}
	})
	if err != nil {
		return nil, err
	}
	s.parseBatchUpdate(c, fn)
	if len(c.blobs) > 0 {
		for k, err := range s.store.Put(ctx, c.blobs) {
			if err != nil {
				c.status[c.at[k]] = s.uploadStatus(err)
			}
		}
	}
	return c.req.Response(c.status), nil
}

// checkBatchUpdate refuses what fails the batch as a whole.
func (s *Server) checkBatchUpdate(m *codec.BatchUpdate) error {
	if err := checkInstance(m.Instance); err != nil {
		return err
	}
	var total int64
	for i := range m.Blobs {
		total += int64(len(m.Blobs[i].Data))
	}
	if total > s.opts.MaxBatchBytes {
		return invalid("batch has %d bytes of data, max_batch_total_size_bytes is %d: use smaller batches, or ByteStream.Write", total, s.opts.MaxBatchBytes)
	}
	return nil
}

// parseBatchUpdate sorts the blobs that can be put from those that cannot,
// each of which fails alone (rule 19).
func (s *Server) parseBatchUpdate(c *batchUpdateCall, fn digest.Function) {
	n := len(c.req.Blobs)
	c.blobs, c.at = slices.Grow(c.blobs[:0], n), slices.Grow(c.at[:0], n)
	c.status = slices.Grow(c.status[:0], n)[:n]
	clear(c.status)
	for i := range c.req.Blobs {
		wire := &c.req.Blobs[i]
		d, err := s.checkBatchBlob(fn, wire)
		switch {
		case err != nil:
			c.status[i] = codecStatus(err)
		case d.IsEmptyBlob() && len(wire.Data) == 0:
			// It is there already (rule 1).
		default:
			c.at = append(c.at, i)
			c.blobs = append(c.blobs, blobstore.Blob{
				Spec: blobstore.Spec{Key: s.opts.Namespace.CAS(c.req.Instance, d), Size: d.Size(), Encoding: blobstore.Encoding(wire.Compressor)},
				Data: wire.Data,
			})
		}
	}
}

func (s *Server) checkBatchBlob(fn digest.Function, wire *codec.BatchUpdateBlob) (digest.Digest, error) {
	if !wire.HasDigest {
		return digest.Digest{}, invalid("digest is not set")
	}
	d, err := parseDigest(fn, &wire.Digest)
	if err != nil {
		return d, err
	}
	switch compressor := wire.Compressor; {
	case compressor != int32(blobstore.Identity) && compressor != int32(blobstore.Zstd):
		return d, invalid("compressor %d of blob %v is not offered by this server: use IDENTITY or ZSTD", compressor, d)
	case compressor == int32(blobstore.Zstd) && d.Size() > s.opts.MaxBatchBytes:
		return d, invalid("blob %v is larger than max_batch_total_size_bytes, %d, when decompressed: use ByteStream.Write", d, s.opts.MaxBatchBytes)
	}
	return d, s.checkSize(d)
}
