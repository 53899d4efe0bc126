package encoding

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/larder-build/larder/server/blobstore"
)

// AppendDecompressed appends the content of the zstd stream src, which must be
// size bytes. It never allocates more than that, nor more than src could decode
// to.
func AppendDecompressed(dst, src []byte, size int64) ([]byte, error) {
	if size < 0 || size > maxDecompressed(len(src)) {
		return dst, fmt.Errorf("%d bytes of zstd cannot have %d bytes of content", len(src), size)
	}
	n := len(dst)
	if int64(cap(dst)-n) < size {
		grown := make([]byte, n, int64(n)+size)
		copy(grown, dst)
		dst = grown
	}
	content, err := decodeWhole(dst[n:n:int64(n)+size], src)
	switch {
	case errors.Is(err, errTooLong):
		return dst, fmt.Errorf("content has more than %d bytes", size)
	case err != nil:
		return dst, errors.New(reason(err))
	case int64(len(content)) != size:
		return dst, fmt.Errorf("content has %d bytes, not %d", len(content), size)
	}
	return dst[:int64(n)+size], nil
}

// decompress opens length uncompressed bytes, from offset, of a blob that is
// stored as zstd. It takes care of r, if it fails, too.
func decompress(ctx context.Context, o origin, offset, length int64) (Content, error) {
	if o.r.Size() <= wholeLimit && o.r.StoredSize() <= wholeLimit {
		return decompressWhole(o, offset, length)
	}
	c := &decompressed{
		origin: o, src: source{r: o.r},
		skip: offset, left: length, length: length, tail: offset+length == o.r.Size(),
	}
	d, err := shared().stream.open(ctx, &c.src)
	if err != nil {
		if ctx.Err() == nil {
			err = c.failure(err)
		}
		c.Close()
		return nil, err
	}
	c.decoder = d
	return c, nil
}

// decompressWhole decodes a small blob at once.
func decompressWhole(o origin, offset, length int64) (Content, error) {
	defer o.r.Close()
	buf := shared().whole.Get().(*[wholeLimit]byte)
	defer shared().whole.Put(buf)
	data := buf[:o.r.StoredSize()]
	if _, err := io.ReadFull(o.r, data); err != nil {
		return nil, o.short(err)
	}
	content, err := AppendDecompressed(nil, data, o.r.Size())
	if err != nil {
		return nil, o.corrupt(err.Error())
	}
	return wholeContent(o.r.Size(), content[offset:offset+length], blobstore.Identity), nil
}

// decompressed is a part of a blob that is stored as zstd.
type decompressed struct {
	origin
	src     source
	decoder *decoder // nil when closed
	// skip is how many bytes are to be decoded before the wanted part, left
	// how many there are to come of it.
	skip, left, length int64
	// tail says that the wanted part ends where the blob does, so the end of
	// the stream is to be there.
	tail bool
}

// Read decodes straight into p.
func (c *decompressed) Read(p []byte) (int, error) {
	if c.decoder == nil {
		return 0, io.ErrClosedPipe
	}
	if err := c.discard(); err != nil {
		return 0, err
	}
	if c.left == 0 {
		return 0, c.end()
	}
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.decoder.z.Read(p)
	c.left -= int64(n)
	if errors.Is(err, io.EOF) && c.left == 0 {
		return n, nil
	}
	return n, c.failure(err)
}

// discard decodes what lies before the wanted part.
func (c *decompressed) discard() error {
	if c.skip == 0 {
		return nil
	}
	n, err := io.CopyN(io.Discard, readerOnly{c.decoder.z}, c.skip)
	c.skip -= n
	return c.failure(err)
}

// end says whether the stream may end here.
func (c *decompressed) end() error {
	if !c.tail {
		return io.EOF
	}
	var more [1]byte
	n, err := c.decoder.z.Read(more[:])
	switch {
	case n > 0:
		return c.corrupt("it decodes to more than its size")
	case errors.Is(err, io.EOF):
		return io.EOF
	}
	return c.failure(err)
}

// failure turns the decoder's error into the store's or a corruption.
func (c *decompressed) failure(err error) error {
	switch {
	case err == nil:
		return nil
	case c.src.err != nil && !errors.Is(c.src.err, io.EOF):
		return c.src.err
	case errors.Is(err, blobstore.ErrUnavailable):
		return err
	case errors.Is(err, io.EOF):
		return c.corrupt("it decodes to less than its size")
	}
	return c.corrupt(reason(err))
}

func (c *decompressed) Close() error {
	if c.decoder != nil {
		c.decoder.close()
		c.decoder = nil
	}
	return c.r.Close()
}

func (c *decompressed) Size() int64   { return c.r.Size() }
func (c *decompressed) Length() int64 { return c.length }

// source remembers the error its reader ended with, which a decoder hides.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil {
		s.err = err
	}
	return n, err
}

// readerOnly hides WriteTo, which would not stop where io.CopyN wants.
type readerOnly struct{ io.Reader }
