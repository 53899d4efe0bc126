package actioncache

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/internal/merkle"
	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/encoding"
)

// Request asks for an action's result.
type Request struct {
	Instance string
	// Action is the action's digest. Its size may be digest.SizeUnknown.
	Action digest.Digest
	Inline Inline
}

// Get returns the serialized ActionResult of an action, which belongs to the
// caller. The error is blobstore.ErrNotFound if there is none, if a blob that
// it refers to is missing (rule 22), or if what is stored is no action result;
// any other error means that the store cannot tell. It counts as a use of the
// result and of all blobs it refers to.
func (c *Cache) Get(ctx context.Context, req Request) ([]byte, error) {
	result, err := c.get(ctx, req)
	var invalid *InvalidError
	switch {
	case err == nil:
		c.metrics.hit.Inc()
	case errors.As(err, &invalid):
		c.metrics.bad.Inc()
		c.log.WarnContext(ctx, "action result is not usable", "instance", req.Instance, "action", req.Action.String(), "reason", err)
		return nil, fmt.Errorf("%w: the stored result is not usable: %w", blobstore.ErrNotFound, err)
	case errors.Is(err, errIncomplete):
		c.metrics.incomplete.Inc()
	case errors.Is(err, blobstore.ErrNotFound):
		c.metrics.absent.Inc()
	default:
		c.metrics.failed.Inc()
	}
	return result, err
}

func (c *Cache) get(ctx context.Context, req Request) ([]byte, error) {
	key := c.opts.Namespace.AC(req.Instance, req.Action)
	stored, err := c.load(ctx, key)
	if err != nil {
		return nil, err
	}
	w := c.begin(req.Instance, req.Action.Function(), true)
	defer w.end()
	if err := w.result.Parse(w.fn, stored); err != nil {
		c.drop(ctx, key)
		return nil, asInvalid(err)
	}
	if !c.opts.SkipCompleteness {
		if err := w.refs.checkAll(ctx); err != nil {
			return nil, err
		}
	}
	return w.inlined(ctx, stored, &req.Inline)
}

// load reads a stored action result. The bytes are the caller's.
func (c *Cache) load(ctx context.Context, key blobstore.Key) ([]byte, error) {
	r, err := c.store.Get(ctx, key)
	if err != nil {
		return nil, corruptIsBad(err)
	}
	defer r.Close()
	if r.Size() > MaxResultBytes {
		c.drop(ctx, key)
		return nil, invalid("", "has %d bytes, more than %d", r.Size(), MaxResultBytes)
	}
	data := make([]byte, r.StoredSize())
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, corruptIsBad(err)
	}
	if r.Encoding() == blobstore.Identity {
		return data, nil
	}
	data, err = encoding.AppendDecompressed(nil, data, r.Size())
	if err != nil {
		c.drop(ctx, key)
		return nil, invalid("", "cannot be decompressed: %v", err)
	}
	return data, nil
}

// corruptIsBad turns the report of a corrupt stored result, which the store
// has dropped, into that of an unusable one: to the client it is a miss.
func corruptIsBad(err error) error {
	if errors.Is(err, blobstore.ErrCorrupt) {
		return invalid("", "%v", err)
	}
	return err
}

// drop forgets a stored result that can never be used.
func (c *Cache) drop(ctx context.Context, key blobstore.Key) {
	remover, ok := c.store.(blobstore.Remover)
	if !ok {
		return
	}
	if err := remover.Remove(ctx, key); err != nil {
		c.log.WarnContext(ctx, "cannot remove a bad action result", "action", key.String(), "error", err)
	}
}

// asInvalid returns a walker's error as an *InvalidError, and others as they
// are.
func asInvalid(err error) error {
	e, ok := errors.AsType[*merkle.Error](err)
	if !ok {
		return err
	}
	return &InvalidError{Field: e.Field, Value: e.Value, Reason: e.Reason}
}
