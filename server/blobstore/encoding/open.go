package encoding

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/larder-build/larder/server/blobstore"
)

// ErrOffset says that a request begins before or past the blob, or that its
// limit is negative (rule 13: OUT_OF_RANGE).
var ErrOffset = errors.New("offset is outside the blob")

// Request says which part of a blob is wanted, and how.
type Request struct {
	// Encoding is the form of the answer.
	Encoding blobstore.Encoding
	// Offset and Limit are in bytes of the uncompressed blob, whatever the
	// encoding (rule 12). Limit 0 means to the end; one past the end is no
	// error.
	Offset, Limit int64
}

// Content is the wanted part of a blob. It is used by one goroutine at a time.
type Content interface {
	// Read fails with blobstore.ErrCorrupt where the stored bytes are bad.
	io.Reader
	// Close frees what the content holds. It must be called and may be twice.
	io.Closer
	// Size is the logical (uncompressed) size of the whole blob in bytes.
	Size() int64
	// Length is how many bytes Read yields in all, in the encoding of the
	// request; -1 if that is not known beforehand.
	Length() int64
}

// Open opens the blob of the key for reading as the request says. The empty
// blob of the CAS is always there, whether the store has it or not (rule 1).
//
// What is stored in the wanted encoding is passed through untouched, except
// that a zstd stream can only be so from its begin to its end. Everything else
// is transcoded while it is read. Open waits for a decoder or encoder if
// MaxDecoders or MaxEncoders are at work; the context bounds that, and the
// reading of the store.
//
// The errors are those of the Getter, and ErrOffset.
func Open(ctx context.Context, g blobstore.Getter, key blobstore.Key, req Request) (Content, error) {
	if key.Kind == blobstore.CAS && key.Digest.IsEmptyBlob() {
		return openEmpty(req)
	}
	r, err := g.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	length, err := req.length(r.Size())
	if err != nil {
		r.Close()
		return nil, err
	}
	e, size := r.Encoding(), r.Size()
	switch {
	case req.Encoding == blobstore.Zstd && e == blobstore.Zstd && length == size:
		return &stored{r: r, left: r.StoredSize(), length: r.StoredSize()}, nil
	case length == 0:
		r.Close()
		return wholeContent(size, nil, req.Encoding), nil
	case req.Encoding == blobstore.Identity && e == blobstore.Identity:
		return openStored(r, req.Offset, length)
	}
	return transcode(ctx, origin{ctx, g, key, r}, req, length)
}

func openEmpty(req Request) (Content, error) {
	if _, err := req.length(0); err != nil {
		return nil, err
	}
	return wholeContent(0, nil, req.Encoding), nil
}

// length returns how many uncompressed bytes of a blob of that size are wanted,
// and checks the request.
func (r Request) length(size int64) (int64, error) {
	if r.Offset < 0 || r.Offset > size {
		return 0, fmt.Errorf("%w: offset %d of a blob of %d bytes", ErrOffset, r.Offset, size)
	}
	if r.Encoding > blobstore.Zstd {
		return 0, fmt.Errorf("encoding %d is not known", r.Encoding)
	}
	if r.Limit < 0 {
		return 0, fmt.Errorf("%w: limit %d is negative", ErrOffset, r.Limit)
	}
	if r.Limit == 0 {
		return size - r.Offset, nil
	}
	return min(r.Limit, size-r.Offset), nil
}

// openStored opens length bytes from offset of an identity blob.
func openStored(r blobstore.Reader, offset, length int64) (Content, error) {
	if offset != 0 {
		if err := r.SeekTo(offset); err != nil {
			r.Close()
			return nil, err
		}
	}
	return &stored{r: r, left: length, length: length}, nil
}

// openRaw opens length uncompressed bytes from offset.
func openRaw(ctx context.Context, o origin, offset, length int64) (Content, error) {
	if o.r.Encoding() == blobstore.Zstd {
		return decompress(ctx, o, offset, length)
	}
	return openStored(o.r, offset, length)
}

// transcode opens length uncompressed bytes where what is stored is not what is
// wanted.
func transcode(ctx context.Context, o origin, req Request, length int64) (Content, error) {
	raw, err := openRaw(ctx, o, req.Offset, length)
	if err != nil || req.Encoding == blobstore.Identity {
		return raw, err
	}
	return compress(ctx, raw)
}

// stored is content that is passed through as it is stored.
type stored struct {
	r            blobstore.Reader
	left, length int64
}

func (c *stored) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.r.Read(p)
	c.left -= int64(n)
	if c.left > 0 && errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: stored bytes end %d before their size", blobstore.ErrCorrupt, c.left)
	}
	return n, err
}

// Mapped returns the content for the system to send it, if nothing was read yet
// and the store has it so (blobstore.MappedReader).
func (c *stored) Mapped() []byte {
	if r, ok := c.r.(blobstore.MappedReader); ok && c.left == c.length {
		return r.Mapped(c.length)
	}
	return nil
}

func (c *stored) Close() error  { return c.r.Close() }
func (c *stored) Size() int64   { return c.r.Size() }
func (c *stored) Length() int64 { return c.length }

// inMemory is content that is complete.
type inMemory struct {
	bytes.Reader
	size int64
}

// wholeContent returns raw, a part of a blob of that size, in the encoding.
func wholeContent(size int64, raw []byte, e blobstore.Encoding) Content {
	if e == blobstore.Zstd {
		raw = AppendCompressed(nil, raw)
	}
	c := &inMemory{size: size}
	c.Reset(raw)
	return c
}

func (c *inMemory) Close() error  { return nil }
func (c *inMemory) Size() int64   { return c.size }
func (c *inMemory) Length() int64 { return c.Reader.Size() }
