package main

import (
	"context"
	"io"

	"github.com/klauspost/compress/zstd"
	bspb "google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// readMessageBytes is how much content goes in one message of a Read.
	readMessageBytes = 64 << 10
	// maxBlobBytes is the largest blob taken, compressed or not.
	maxBlobBytes = 1 << 30
	// maxRoomBytes is the most memory set aside for an upload whose bytes have
	// not come yet.
	maxRoomBytes = 64 << 20
)

type byteStreamServer struct {
	bspb.UnimplementedByteStreamServer
	store   *store
	encoder *zstd.Encoder
	decoder *zstd.Decoder
}

func newByteStreamServer(s *store) (*byteStreamServer, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return nil, err
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxBlobBytes))
	if err != nil {
		return nil, err
	}
	return &byteStreamServer{store: s, encoder: encoder, decoder: decoder}, nil
}

func (b *byteStreamServer) Read(req *bspb.ReadRequest, stream bspb.ByteStream_ReadServer) error {
	r, err := parseResource(req.GetResourceName())
	if err != nil {
		return err
	}
	found, ok := b.store.get(r.digest.GetHash(), r.digest.GetSizeBytes())
	if !ok {
		return status.Errorf(codes.NotFound, "no blob %s/%d", r.digest.GetHash(), r.digest.GetSizeBytes())
	}
	data, err := b.cut(found, r, req.GetReadOffset(), req.GetReadLimit())
	if err != nil {
		return err
	}
	resp := &bspb.ReadResponse{}
	for len(data) > 0 {
		n := min(len(data), readMessageBytes)
		resp.Data, data = data[:n], data[n:]
		if err := stream.Send(resp); err != nil {
			return err
		}
	}
	return nil
}

// cut returns the bytes to send: offset and limit count uncompressed bytes,
// and a compressed read has no limit (rules 12 and 13).
func (b *byteStreamServer) cut(found blob, r resource, offset, limit int64) ([]byte, error) {
	if offset < 0 || offset > int64(len(found.data)) {
		return nil, status.Errorf(codes.OutOfRange, "read_offset %d is not within the blob's %d bytes", offset, len(found.data))
	}
	if limit < 0 || limit > 0 && r.zstd {
		return nil, status.Errorf(codes.InvalidArgument, "read_limit %d is not allowed", limit)
	}
	data := found.data[offset:]
	if limit > 0 {
		data = data[:min(limit, int64(len(data)))]
	}
	if !r.zstd {
		return data, nil
	}
	if offset == 0 && found.zstd != nil {
		return found.zstd, nil
	}
	return b.encoder.EncodeAll(data, nil), nil
}

func (b *byteStreamServer) Write(stream bspb.ByteStream_WriteServer) error {
	req, err := stream.Recv()
	if err != nil {
		return err
	}
	r, err := parseResource(req.GetResourceName())
	if err != nil {
		return err
	}
	if r.digest.GetSizeBytes() > maxBlobBytes {
		return status.Errorf(codes.InvalidArgument, "blob of %d bytes is over the limit of %d", r.digest.GetSizeBytes(), maxBlobBytes)
	}
	if _, ok := b.store.get(r.digest.GetHash(), r.digest.GetSizeBytes()); ok {
		return stream.SendAndClose(&bspb.WriteResponse{CommittedSize: committed(r, r.digest.GetSizeBytes(), true)})
	}
	data, err := receive(stream, req, r)
	if err != nil {
		return err
	}
	if err := b.keep(r, data); err != nil {
		return err
	}
	return stream.SendAndClose(&bspb.WriteResponse{CommittedSize: committed(r, int64(len(data)), false)})
}

// committed is the size a finished write reports (rule 11).
func committed(r resource, size int64, early bool) int64 {
	if r.zstd && early {
		return -1
	}
	return size
}

// receive collects the content of an upload, as it is sent.
func receive(stream bspb.ByteStream_WriteServer, req *bspb.WriteRequest, r resource) ([]byte, error) {
	limit := r.digest.GetSizeBytes()
	room := min(limit, maxRoomBytes)
	if r.zstd {
		limit, room = maxBlobBytes, room/2
	}
	data := make([]byte, 0, room)
	for {
		if req.GetWriteOffset() != int64(len(data)) {
			return nil, status.Errorf(codes.InvalidArgument, "write_offset is %d, not %d", req.GetWriteOffset(), len(data))
		}
		if int64(len(data)+len(req.GetData())) > limit {
			return nil, status.Errorf(codes.InvalidArgument, "content is longer than %d bytes", limit)
		}
		data = append(data, req.GetData()...)
		if req.GetFinishWrite() {
			return data, nil
		}
		var err error
		if req, err = stream.Recv(); err == io.EOF {
			return nil, status.Errorf(codes.InvalidArgument, "stream ended after %d bytes without finish_write", len(data))
		} else if err != nil {
			return nil, err
		}
	}
}

// keep verifies an upload and stores it, also in the form it came in.
func (b *byteStreamServer) keep(r resource, data []byte) error {
	kept := blob{data: data}
	if r.zstd {
		plain, err := b.decoder.DecodeAll(data, make([]byte, 0, min(r.digest.GetSizeBytes(), maxRoomBytes)))
		if err != nil {
			return status.Errorf(codes.InvalidArgument, "content is no zstd: %v", err)
		}
		kept = blob{data: plain, zstd: data}
	}
	if err := verify(r.digest, kept.data); err != nil {
		return err
	}
	b.store.put(r.digest.GetHash(), kept)
	return nil
}

func (b *byteStreamServer) QueryWriteStatus(_ context.Context, req *bspb.QueryWriteStatusRequest) (*bspb.QueryWriteStatusResponse, error) {
	r, err := parseResource(req.GetResourceName())
	if err != nil {
		return nil, err
	}
	if _, ok := b.store.get(r.digest.GetHash(), r.digest.GetSizeBytes()); ok {
		return &bspb.QueryWriteStatusResponse{CommittedSize: r.digest.GetSizeBytes(), Complete: true}, nil
	}
	return &bspb.QueryWriteStatusResponse{}, nil
}
