package actioncache

import (
	"context"
	"errors"
	"fmt"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/internal/merkle"
	"github.com/larder-build/larder/server/blobstore"
)

// Update stores the serialized ActionResult of an action and returns it as it
// was stored, which may be the slice it was given. It does not keep result.
//
// The error is an *InvalidError if the result is against the protocol (rule
// 24): as merkle's Validate tells, also in the Trees and Directories that are
// in the CAS already, or if inlined content does not match its digest; else it
// is the store's.
//
// Content that the client inlined goes to the CAS before the result is
// stored, and out of the result: clients get it inlined when they ask (rule
// 23). A digest that inlined content lacks is filled in. An empty result gets a
// worker's name (rule 25).
func (c *Cache) Update(ctx context.Context, instance string, action digest.Digest, result []byte) ([]byte, error) {
	stored, err := c.update(ctx, instance, action, result)
	var invalid *InvalidError
	switch {
	case err == nil:
		c.metrics.stored.Inc()
	case errors.As(err, &invalid):
		c.metrics.refused.Inc()
	default:
		c.metrics.notStored.Inc()
	}
	return stored, err
}

func (c *Cache) update(ctx context.Context, instance string, action digest.Digest, result []byte) ([]byte, error) {
	w := c.begin(instance, action.Function(), false)
	defer w.end()
	if err := w.validate(ctx, result); err != nil {
		return nil, err
	}
	if w.result.HasContents() {
		if err := w.storeContents(ctx); err != nil {
			return nil, err
		}
		result = w.result.AppendExtracted(nil)
	}
	if w.result.Empty {
		result = merkle.AppendWorker(nil, UnknownWorker)
	}
	if len(result) > MaxResultBytes {
		return nil, invalid("", "has %d bytes without inlined content, more than %d", len(result), MaxResultBytes)
	}
	key := c.opts.Namespace.AC(instance, action)
	spec := blobstore.Spec{Key: key, Size: int64(len(result)), Encoding: blobstore.Identity}
	if err := c.store.Put(ctx, []blobstore.Blob{{Spec: spec, Data: result}})[0]; err != nil {
		return nil, fmt.Errorf("storing the result of action %v: %w", action, err)
	}
	return result, nil
}

func (w *work) validate(ctx context.Context, result []byte) error {
	if err := w.result.Parse(w.fn, result); err != nil {
		return asInvalid(err)
	}
	if err := w.result.Validate(); err != nil {
		return asInvalid(err)
	}
	return w.refs.trees(ctx)
}

// storeContents puts what the client inlined into the CAS, and sets the
// digests that were missing. The store verifies those that were not.
func (w *work) storeContents(ctx context.Context) error {
	var blobs []blobstore.Blob
	var fields []string
	add := func(field string, d *digest.Digest, content []byte) {
		if len(content) == 0 {
			return
		}
		if !d.Valid() {
			*d = digest.Of(w.fn, content)
		}
		spec := blobstore.Spec{Key: w.casKey(*d), Size: d.Size(), Encoding: blobstore.Identity}
		blobs = append(blobs, blobstore.Blob{Spec: spec, Data: content})
		fields = append(fields, field)
	}
	r := &w.result
	add("stdout_raw", &r.Stdout.Digest, r.Stdout.Raw)
	add("stderr_raw", &r.Stderr.Digest, r.Stderr.Raw)
	for i := range r.Files {
		add(fmt.Sprintf("output_files[%d].contents", i), &r.Files[i].Digest, r.Files[i].Contents)
	}
	for i, err := range w.cache.store.Put(ctx, blobs) {
		switch {
		case errors.Is(err, blobstore.ErrMismatch):
			return invalid(fields[i], "%v", err)
		case err != nil:
			return fmt.Errorf("storing %s of an action result: %w", fields[i], err)
		}
	}
	return nil
}
