package httpcache

import (
	"context"
	"errors"
	"math"
	"net/http"
	"slices"
	"strings"

	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/encoding"
)

func (h *Handler) put(w http.ResponseWriter, r *http.Request, t target) error {
	if h.opts.ReadOnly {
		return refuse(http.StatusForbidden, "this server takes no uploads")
	}
	if t.kind == blobstore.AC && !h.opts.SkipACValidation {
		return h.putAction(w, r, t)
	}
	up, err := h.receive(w, r, h.maxBlob())
	if err != nil {
		return err
	}
	defer h.release(up)
	if err := up.measure(r.Context(), &h.spools); err != nil {
		return err
	}
	specs, err := h.specs(r.Context(), t, up)
	if err != nil {
		return err
	}
	if err := h.keep(r.Context(), specs, up); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func (h *Handler) maxBlob() int64 {
	if h.opts.MaxBlobSize > 0 {
		return h.opts.MaxBlobSize
	}
	return math.MaxInt64
}

// specs returns what the upload may be, the likeliest first.
func (h *Handler) specs(ctx context.Context, t target, up *upload) ([]blobstore.Spec, error) {
	if t.kind == blobstore.AC {
		d, err := h.actionDigest(ctx, t, nil)
		return []blobstore.Spec{{Key: h.key(t, d), Size: up.size, Encoding: up.encoding}}, err
	}
	var specs []blobstore.Spec
	for _, d := range h.likely(t.digests) {
		specs = append(specs, blobstore.Spec{Key: h.key(t, d.WithSize(up.size)), Size: up.size, Encoding: up.encoding})
	}
	return specs, nil
}

// stored returns which of the blobs is there already, -1 if none. Then the
// upload is only verified. An action result is always written anew.
func (h *Handler) stored(ctx context.Context, specs []blobstore.Spec) (int, error) {
	if specs[0].Key.Kind == blobstore.AC {
		return -1, nil
	}
	keys := make([]blobstore.Key, len(specs))
	for i, spec := range specs {
		if keys[i] = spec.Key; spec.Key.Digest.IsEmptyBlob() {
			return i, nil // rule 1
		}
	}
	missing, err := h.store.FindMissing(ctx, keys)
	if err != nil {
		return -1, err
	}
	for i := range keys {
		if i >= len(missing) || missing[i] != i {
			return i, nil
		}
	}
	return -1, nil
}

// keep stores the upload as the blob that its content proves it to be.
func (h *Handler) keep(ctx context.Context, specs []blobstore.Spec, up *upload) error {
	i, err := h.stored(ctx, specs)
	if err != nil {
		return err
	}
	if i >= 0 {
		return verify(ctx, specs[i], up)
	}
	if len(specs) > 1 && !up.whole && up.spool == nil {
		// It is stored as the first while it arrives, and may have to be stored
		// again as another.
		up.tee = h.spools.openTee()
	}
	var wrong []error
	for i, spec := range specs {
		err := h.store1(ctx, spec, up)
		switch {
		case err == nil:
			if len(specs) > 1 {
				h.learn(spec.Key.Digest.Function())
			}
			return nil
		case !errors.Is(err, blobstore.ErrMismatch), !up.ended:
			return err // what is found before the end holds for any function
		}
		if wrong = append(wrong, err); i+1 < len(specs) {
			if err := up.rewind(); err != nil {
				return err
			}
		}
	}
	return mismatch(wrong)
}

// store1 stores the upload as one blob.
func (h *Handler) store1(ctx context.Context, spec blobstore.Spec, up *upload) error {
	if up.whole {
		return h.store.Put(ctx, []blobstore.Blob{{Spec: spec, Data: up.head}})[0]
	}
	w, err := h.store.Create(ctx, spec)
	if err != nil {
		return err
	}
	defer w.Abort()
	if err := up.copyTo(w); err != nil {
		return err
	}
	return w.Commit()
}

// verify checks an upload of what is stored already.
func verify(ctx context.Context, spec blobstore.Spec, up *upload) error {
	if up.whole {
		return encoding.Verify(blobstore.Blob{Spec: spec, Data: up.head})
	}
	v := encoding.NewVerifierContext(ctx, spec)
	defer v.Close()
	if err := up.copyTo(v); err != nil {
		return err
	}
	return v.Finish()
}

// mismatch joins what was found out under each digest function.
func mismatch(wrong []error) error {
	var first *blobstore.MismatchError
	var reasons []string
	for _, err := range wrong {
		var m *blobstore.MismatchError
		if !errors.As(err, &m) {
			return err
		}
		if first == nil {
			first = m
		}
		if !slices.Contains(reasons, m.Reason) {
			reasons = append(reasons, m.Reason)
		}
	}
	return &blobstore.MismatchError{Key: first.Key, Reason: strings.Join(reasons, "; ")}
}
