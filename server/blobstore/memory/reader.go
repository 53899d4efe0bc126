package memory

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/larder-build/larder/server/blobstore"
)

// reader reads a blob, which it keeps from the garbage collector, though not
// in the store.
type reader struct {
	ctx  context.Context
	blob *blob
	rest bytes.Reader
}

func newReader(ctx context.Context, b *blob) *reader {
	r := &reader{ctx: ctx, blob: b}
	r.rest.Reset(b.data)
	return r
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.rest.Read(p)
}

func (r *reader) SeekTo(offset int64) error {
	if offset < 0 || offset > r.StoredSize() {
		return fmt.Errorf("seek to %d in a blob of %d stored bytes", offset, r.StoredSize())
	}
	_, err := r.rest.Seek(offset, io.SeekStart)
	return err
}

func (r *reader) Close() error {
	r.rest.Reset(nil)
	return nil
}

func (r *reader) Size() int64                  { return r.blob.size }
func (r *reader) StoredSize() int64            { return int64(len(r.blob.data)) }
func (r *reader) Encoding() blobstore.Encoding { return r.blob.encoding }
