package reapi

import (
	"context"
	"fmt"
	"io"

	"google.golang.org/grpc"

	"github.com/larder-build/larder/internal/resourcename"
	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/encoding"
	"github.com/larder-build/larder/server/reapi/codec"
)

const (
	// readChunk is how many bytes of data a message of a Read has at most, a
	// multiple of blobstore.ReadBlock. A read of 32 MiB takes about a tenth more
	// CPU time with a quarter of it, and as much with four times as much.
	readChunk = 256 << 10
	// smallReadChunk is readChunk while so many large reads are under way that
	// their chunks fill the budget.
	smallReadChunk = blobstore.ReadBlock
)

// read implements ByteStream.Read (rules 5 to 8 and 12 to 16).
func (s *Server) read(req *codec.Request, stream grpc.ServerStream) error {
	ctx := stream.Context()
	var m codec.Read
	if err := m.Decode(req); err != nil {
		return malformed(err)
	}
	name, err := resourcename.ParseRead(m.Name)
	if err != nil {
		return invalidField("resource_name", err)
	}
	if err := checkRead(ctx, &m, name); err != nil {
		return err
	}
	content, err := encoding.Open(ctx, s.store, s.opts.Namespace.CAS(name.Instance, name.Digest), encoding.Request{
		Encoding: blobstore.Encoding(name.Encoding), Offset: m.Offset, Limit: m.Limit,
	})
	if err != nil {
		return statusOf(name.Digest, err)
	}
	defer content.Close()
	return s.sendContent(stream, content)
}

// checkRead refuses what is wrong with a read whatever the blob is.
func checkRead(ctx context.Context, m *codec.Read, name resourcename.Read) error {
	switch {
	case m.Limit < 0:
		return invalid("read_limit %d of %v is negative", m.Limit, name)
	case m.Limit != 0 && name.Encoding != resourcename.Identity:
		return invalid("read_limit %d of %v: a compressed read can have none", m.Limit, name) // rule 12
	}
	return checkNameHeader(ctx, m.Name)
}

// sendContent sends content in messages of at most readChunk bytes of data.
func (s *Server) sendContent(stream grpc.ServerStream, content encoding.Content) error {
	left := content.Length() // -1: unknown
	chunk := readChunk
	if left < 0 || left > smallReadChunk {
		if s.replies.tryTake(readChunk) {
			defer s.replies.give(readChunk)
		} else {
			chunk = smallReadChunk
		}
	}
	for left != 0 {
		n := chunk
		if left > 0 {
			n = int(min(left, int64(chunk)))
		}
		resp, got, err := readMessage(content, n)
		if resp != nil {
			if err := stream.SendMsg(resp); err != nil {
				return err
			}
		}
		if left > 0 {
			left -= int64(got)
		}
		switch {
		case err == io.EOF && left <= 0:
			return nil
		case err == io.EOF:
			return statusErr(fmt.Errorf("%w: it ends %d bytes early", blobstore.ErrCorrupt, left))
		case err != nil:
			return statusErr(err)
		}
	}
	return nil
}

// readMessage returns a ReadResponse with the next n bytes, read right to
// where they are sent from, and how many they are. At the end of the content
// they are fewer and the error is io.EOF; the response is nil if they are none.
func readMessage(content io.Reader, n int) (*codec.Response, int, error) {
	at := codec.ReadHeaderSize(n)
	buf := codec.Pool.Get(at + n)
	got, err := io.ReadFull(content, (*buf)[at:])
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	if got == 0 {
		codec.Pool.Put(buf)
		return nil, 0, err
	}
	if fewer := codec.ReadHeaderSize(got); fewer < at {
		copy((*buf)[fewer:], (*buf)[at:at+got])
		at = fewer
	}
	codec.PutReadHeader(*buf, at, got)
	return codec.PooledResponse(buf, at+got), got, err
}
