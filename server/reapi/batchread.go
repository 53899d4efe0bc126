package reapi

import (
	"context"
	"fmt"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/encoding"
	"github.com/larder-build/larder/server/reapi/codec"
)

// batchRead implements BatchReadBlobs (rules 1, 8, 19 and 20).
func (s *Server) batchRead(ctx context.Context, req *codec.Request) (any, error) {
	m := s.batchReads.Get().(*codec.BatchRead)
	defer func() {
		if clear(m.Digests); cap(m.Digests) <= keptDigests {
			s.batchReads.Put(m)
		}
	}()
	if err := m.Decode(req); err != nil {
		return nil, malformed(err)
	}
	if err := checkInstance(m.Instance); err != nil {
		return nil, err
	}
	fn, err := batchFunction(m.Function, func(yield func([]byte) bool) {
		for i := range m.Digests {
			if !yield(m.Digests[i].Hash) {
				return
			}
		}
	})
	if err != nil {
		return nil, err
	}
	framing, room, err := s.batchReadRoom(m)
	if err != nil {
		return nil, err
	}
	taken, err := s.replies.take(ctx, int64(room))
	if err != nil {
		return nil, err
	}
	defer s.replies.give(taken)
	return s.fillBatchRead(ctx, m, fn, framing, room), nil
}

// failureRoom is what a few failed blobs' messages take.
const failureRoom = 2 << 10

// batchReadRoom returns how large the reply can get, in bytes, and how much of
// that is not the blobs' data. It refuses a batch over the limit (rule 19).
func (s *Server) batchReadRoom(m *codec.BatchRead) (framing, room int, err error) {
	var data int64
	for i := range m.Digests {
		d := &m.Digests[i]
		framing += codec.BatchReadOverhead(d)
		if d.Size > s.opts.MaxBatchBytes-data {
			return 0, 0, invalid("batch has more bytes than max_batch_total_size_bytes, %d, at digest %d of %d: use smaller batches, or ByteStream.Read", s.opts.MaxBatchBytes, i, len(m.Digests))
		}
		data += max(d.Size, 0)
	}
	if framing > MaxReplyBytes {
		return 0, 0, invalid("batch has %d digests, the answers to which do not fit in a reply of %d bytes: use smaller batches", len(m.Digests), MaxReplyBytes)
	}
	return framing, min(int(data)+framing+failureRoom, MaxReplyBytes), nil
}

// fillBatchRead writes the reply. Framing is kept back for the blobs to come,
// so that each can at least be answered with a code.
func (s *Server) fillBatchRead(ctx context.Context, m *codec.BatchRead, fn digest.Function, framing, room int) *codec.Response {
	out := codec.NewBatchReadResponse(room)
	for i := range m.Digests {
		wire := &m.Digests[i]
		framing -= codec.BatchReadOverhead(wire)
		left := out.Room() - framing
		if err := s.readIntoBatch(ctx, out, m, wire, fn, left); err != nil {
			out.AddFailure(wire, codecStatus(err), left)
		}
	}
	return out.Response()
}

// readIntoBatch adds one blob to the reply, or nothing if it fails.
func (s *Server) readIntoBatch(ctx context.Context, out *codec.BatchReadResponse, m *codec.BatchRead, wire *codec.Digest, fn digest.Function, left int) error {
	d, err := parseDigest(fn, wire)
	if err != nil {
		return err
	}
	if d.IsEmptyBlob() {
		out.AddBlob(wire, 0, false)
		return nil
	}
	if d.Size()+int64(codec.BatchReadOverhead(wire)) > int64(left) {
		return status.Errorf(codes.ResourceExhausted, "reply is full: read this blob alone")
	}
	r, err := s.store.Get(ctx, s.opts.Namespace.CAS(m.Instance, d))
	if err != nil {
		return err
	}
	defer r.Close()
	mark := out.Mark()
	if err := addBlob(out, wire, r, m.AcceptZstd); err != nil {
		out.Retract(mark)
		return err
	}
	return nil
}

// addBlob adds the blob as it is stored if the client takes that (rule 20) and
// it is not larger so, else as identity.
func addBlob(out *codec.BatchReadResponse, wire *codec.Digest, r blobstore.Reader, acceptZstd bool) error {
	compressed := r.Encoding() == blobstore.Zstd
	if compressed && (!acceptZstd || r.StoredSize() > r.Size()) {
		return decompressInto(out.AddBlob(wire, int(r.Size()), false), r)
	}
	return readFull(r, out.AddBlob(wire, int(r.StoredSize()), compressed))
}

// decompressInto fills dst with the blob that r has as zstd.
func decompressInto(dst []byte, r blobstore.Reader) error {
	buf := codec.Pool.Get(int(r.StoredSize()))
	defer codec.Pool.Put(buf)
	if err := readFull(r, *buf); err != nil {
		return err
	}
	got, err := encoding.AppendDecompressed(dst[:0:len(dst)], *buf, int64(len(dst)))
	if err != nil {
		return err
	}
	if copy(dst, got) != len(dst) {
		return fmt.Errorf("%w: it decompresses to %d bytes, not %d", blobstore.ErrCorrupt, len(got), len(dst))
	}
	return nil
}

// readFull fills p with the bytes of a reader that must have as many.
func readFull(r io.Reader, p []byte) error {
	n, err := io.ReadFull(r, p)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: it ends after %d of %d bytes", blobstore.ErrCorrupt, n, len(p))
	}
	return err
}
