package encoding

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/larder-build/larder/server/blobstore"
)

// DecodedSize returns how many bytes the zstd stream r decodes to, for a
// client that does not tell. It reads all of r and keeps nothing. It fails with
// blobstore.ErrTooLarge as soon as there are more than limit, with
// blobstore.ErrMismatch if r does not decode, and with r's own error as it is.
func DecodedSize(ctx context.Context, r io.Reader, limit int64) (int64, error) {
	src := &failing{r: r}
	sink := &counter{limit: limit}
	err := decodeTo(ctx, shared().stream, sink, src)
	switch {
	case err == nil:
		return sink.n, nil
	case src.err != nil:
		return 0, src.err
	case ctx.Err() != nil, sink.n > limit, errors.Is(err, blobstore.ErrUnavailable):
		return 0, err
	}
	return 0, fmt.Errorf("%w: %s", blobstore.ErrMismatch, reason(err))
}

// counter counts what is written to it and fails past its limit.
type counter struct{ n, limit int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	if c.n > c.limit {
		return 0, fmt.Errorf("%w: zstd stream decodes to more than %d bytes", blobstore.ErrTooLarge, c.limit)
	}
	return len(p), nil
}

// failing remembers how its reader failed.
type failing struct {
	r   io.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err != nil && err != io.EOF {
		f.err = err
	}
	return n, err
}
