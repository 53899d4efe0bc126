// Package metered counts what goes through a blob store, for Prometheus.
//
// It wraps any store and forwards every verb by hand, so that a new one cannot
// pass by uncounted:
//
//	larder_store_lookups_total{verb, kind, result}  blobs asked for with "get" or
//	    "find_missing" and certainly there ("hit") or not ("miss")
//	larder_store_blobs_written_total{kind}          blobs acknowledged
//	larder_store_written_bytes_total{kind}          their bytes, as written
//	larder_store_read_bytes_total{kind}             bytes read, as stored
//	larder_store_errors_total{verb, reason}         verbs that failed otherwise
//
// Kind is "cas" or "ac". A blob that is not there is no error.
package metered

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/larder-build/larder/server/blobstore"
)

// Store counts what goes through the store it wraps.
type Store struct {
	inner   blobstore.Store
	metrics metrics
}

var (
	_ blobstore.Store   = (*Store)(nil)
	_ blobstore.Remover = (*Store)(nil)
)

// New wraps inner. Its counters are registered with reg, once, unless reg is
// nil.
func New(inner blobstore.Store, reg prometheus.Registerer) *Store {
	return &Store{inner: inner, metrics: newMetrics(reg)}
}

// Get opens a blob, as inner does.
func (s *Store) Get(ctx context.Context, key blobstore.Key) (blobstore.Reader, error) {
	r, err := s.inner.Get(ctx, key)
	kind := kindOf(key)
	switch {
	case err == nil:
		s.metrics.lookups[verbGet][kind][hit].Inc()
		return &reader{inner: r, read: s.metrics.readBytes[kind], metrics: &s.metrics}, nil
	case errors.Is(err, blobstore.ErrNotFound):
		s.metrics.lookups[verbGet][kind][miss].Inc()
	default:
		s.metrics.failed(verbGet, err)
	}
	return nil, err
}

// FindMissing tells which blobs are absent, as inner does.
func (s *Store) FindMissing(ctx context.Context, keys []blobstore.Key) ([]int, error) {
	missing, err := s.inner.FindMissing(ctx, keys)
	if err != nil {
		s.metrics.failed(verbFindMissing, err)
		return missing, err
	}
	var asked, absent [kinds]int
	for i := range keys {
		asked[kindOf(keys[i])]++
	}
	for _, i := range missing {
		absent[kindOf(keys[i])]++
	}
	for kind := range kinds {
		s.metrics.lookups[verbFindMissing][kind][hit].Add(float64(asked[kind] - absent[kind]))
		s.metrics.lookups[verbFindMissing][kind][miss].Add(float64(absent[kind]))
	}
	return missing, nil
}

// Put writes small blobs, as inner does.
func (s *Store) Put(ctx context.Context, blobs []blobstore.Blob) []error {
	errs := s.inner.Put(ctx, blobs)
	for i, err := range errs {
		if err != nil {
			s.metrics.failed(verbPut, err)
			continue
		}
		s.metrics.wrote(kindOf(blobs[i].Key), int64(len(blobs[i].Data)))
	}
	return errs
}

// Create begins a blob, as inner does.
func (s *Store) Create(ctx context.Context, spec blobstore.Spec) (blobstore.Writer, error) {
	w, err := s.inner.Create(ctx, spec)
	if err != nil {
		s.metrics.failed(verbWrite, err)
		return nil, err
	}
	return &writer{inner: w, kind: kindOf(spec.Key), metrics: &s.metrics}, nil
}

// Remove forgets a blob, as inner does. If inner is no blobstore.Remover the
// error is errors.ErrUnsupported.
func (s *Store) Remove(ctx context.Context, key blobstore.Key) error {
	r, ok := s.inner.(blobstore.Remover)
	if !ok {
		return fmt.Errorf("removing %v: %w", key, errors.ErrUnsupported)
	}
	err := r.Remove(ctx, key)
	if err != nil {
		s.metrics.failed(verbRemove, err)
	}
	return err
}
