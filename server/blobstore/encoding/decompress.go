package encoding

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

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

// decompressed is a part of a blob that is stored as zstd.
type decompressed struct {
	r       blobstore.Reader
	src     *source
	decoder *zstd.Decoder // nil when closed
	// skip is how many bytes are to be decoded before the wanted part, left
	// how many there are to come of it.
	skip, left, length int64
	// tail says that the wanted part ends where the blob does, so the end of
	// the stream is to be there.
	tail bool
}

func decompress(ctx context.Context, r blobstore.Reader, offset, length int64) (Content, error) {
	d, err := shared().stream.get(ctx)
	if err != nil {
		return nil, err
	}
	c := &decompressed{
		r: r, src: &source{r: r}, decoder: d,
		skip: offset, left: length, length: length, tail: offset+length == r.Size(),
	}
	if err := d.Reset(c.src); err != nil {
		c.Close()
		return nil, c.failure(err)
	}
	return c, nil
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
	n, err := c.decoder.Read(p)
	c.left -= int64(n)
	if err == io.EOF && c.left == 0 {
		return n, nil
	}
	return n, c.failure(err)
}

// discard decodes what lies before the wanted part.
func (c *decompressed) discard() error {
	if c.skip == 0 {
		return nil
	}
	n, err := io.CopyN(io.Discard, readerOnly{c.decoder}, c.skip)
	c.skip -= n
	return c.failure(err)
}

// end says whether the stream may end here.
func (c *decompressed) end() error {
	if !c.tail {
		return io.EOF
	}
	var more [1]byte
	n, err := c.decoder.Read(more[:])
	if n > 0 {
		return fmt.Errorf("%w: it decodes to more than %d bytes", blobstore.ErrCorrupt, c.Size())
	}
	if err == io.EOF {
		return io.EOF
	}
	return c.failure(err)
}

// failure turns the decoder's error into the store's or a corruption.
func (c *decompressed) failure(err error) error {
	switch {
	case err == nil:
		return nil
	case c.src.err != nil && c.src.err != io.EOF:
		return c.src.err
	case err == io.EOF:
		return fmt.Errorf("%w: it decodes to less than %d bytes", blobstore.ErrCorrupt, c.Size())
	}
	return fmt.Errorf("%w: %s", blobstore.ErrCorrupt, reason(err))
}

func (c *decompressed) Close() error {
	if c.decoder != nil {
		putDecoder(shared().stream, c.decoder)
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
