package actioncache

import (
	"context"
	"errors"
	"slices"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/internal/merkle"
	"github.com/larder-build/larder/server/blobstore"
)

// Inline says which contents a client would like inside the action result
// (rule 23).
type Inline struct {
	Stdout, Stderr bool
	// OutputFiles has the paths of the output files.
	OutputFiles []string
	// MaxBytes is the size of the largest answer; DefaultInlineBytes if it is
	// 0. What would exceed it is left out, the rest is inlined: stdout first,
	// then stderr, then files as they stand in the result.
	MaxBytes int64
}

// inlined returns the stored result with contents inlined as asked.
func (w *work) inlined(ctx context.Context, stored []byte, in *Inline) ([]byte, error) {
	if !in.Stdout && !in.Stderr && len(in.OutputFiles) == 0 {
		return stored, nil
	}
	extra := w.choose(in, int64(len(stored)))
	if extra == 0 {
		return stored, nil
	}
	out, err := w.result.AppendInlined(make([]byte, 0, int64(len(stored))+extra), func(dst []byte, d digest.Digest) ([]byte, error) {
		return w.appendBlob(ctx, dst, d)
	})
	switch {
	case err == nil:
		return out, nil
	case !errors.Is(err, blobstore.ErrNotFound) && !errors.Is(err, blobstore.ErrCorrupt):
		return nil, err
	case w.cache.opts.SkipCompleteness:
		return stored, nil // it may dangle, so answer what there is
	}
	return nil, incomplete(err)
}

// choose marks what to inline in a result of size bytes, and returns the most
// bytes that this adds.
func (w *work) choose(in *Inline, size int64) (extra int64) {
	limit := in.MaxBytes
	if limit <= 0 {
		limit = DefaultInlineBytes
	}
	fits := func(d digest.Digest, raw []byte) bool {
		if !d.Valid() || d.Size() <= 0 || len(raw) > 0 {
			return false
		}
		cost := d.Size() + merkle.InlineOverhead
		if cost > limit-size-extra {
			return false
		}
		extra += cost
		return true
	}
	r := &w.result
	r.Stdout.Inline = in.Stdout && fits(r.Stdout.Digest, r.Stdout.Raw)
	r.Stderr.Inline = in.Stderr && fits(r.Stderr.Digest, r.Stderr.Raw)
	wanted := in.wanted()
	for i := range r.Files {
		f := &r.Files[i]
		f.Inline = wanted(f.Path) && fits(f.Digest, f.Contents)
	}
	return extra
}

// fewPaths is the number of paths up to which comparing with each is cheaper
// than a map.
const fewPaths = 8

// wanted returns a function that tells whether a path is to be inlined.
func (in *Inline) wanted() func(path []byte) bool {
	if len(in.OutputFiles) <= fewPaths {
		return func(path []byte) bool {
			return slices.ContainsFunc(in.OutputFiles, func(p string) bool { return p == string(path) })
		}
	}
	paths := make(map[string]struct{}, len(in.OutputFiles))
	for _, p := range in.OutputFiles {
		paths[p] = struct{}{}
	}
	return func(path []byte) bool {
		_, ok := paths[string(path)]
		return ok
	}
}
