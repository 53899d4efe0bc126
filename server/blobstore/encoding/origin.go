package encoding

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/larder-build/larder/server/blobstore"
)

// origin is where content comes from.
type origin struct {
	ctx    context.Context
	getter blobstore.Getter
	key    blobstore.Key
	r      blobstore.Reader
}

// corrupt says that the stored bytes, which the store found to be those that
// were written, are not what the key says. A store that can forgets them, as it
// does by itself with bytes that it finds changed, so that a client can write
// the blob again.
func (o *origin) corrupt(why string) error {
	err := fmt.Errorf("%w: %v: %s", blobstore.ErrCorrupt, o.key, why)
	if s, ok := o.getter.(blobstore.Remover); ok {
		// The blob is bad whether or not the client goes on.
		if rerr := s.Remove(context.WithoutCancel(o.ctx), o.key); rerr != nil {
			return fmt.Errorf("%w; removing it failed: %w", err, rerr)
		}
	}
	return err
}

// short names an end of the stored bytes before their size.
func (o *origin) short(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return o.corrupt("stored bytes end before their size")
	}
	return err
}
