package metered

import (
	"errors"
	"io"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/larder-build/larder/server/blobstore"
)

// reader counts the bytes that are read.
type reader struct {
	inner   blobstore.Reader
	read    prometheus.Counter
	metrics *metrics
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.inner.Read(p)
	r.read.Add(float64(n))
	if err != nil && !errors.Is(err, io.EOF) {
		r.metrics.failed(verbRead, err)
	}
	return n, err
}

// Mapped counts the bytes as read when they are about to be sent.
func (r *reader) Mapped(n int64) []byte {
	inner, ok := r.inner.(blobstore.MappedReader)
	if !ok {
		return nil
	}
	b := inner.Mapped(n)
	r.read.Add(float64(len(b)))
	return b
}

func (r *reader) SeekTo(offset int64) error    { return r.inner.SeekTo(offset) }
func (r *reader) Close() error                 { return r.inner.Close() }
func (r *reader) Size() int64                  { return r.inner.Size() }
func (r *reader) StoredSize() int64            { return r.inner.StoredSize() }
func (r *reader) Encoding() blobstore.Encoding { return r.inner.Encoding() }

// writer counts a blob when it is acknowledged, and its failure once.
type writer struct {
	inner   blobstore.Writer
	kind    int
	metrics *metrics
	bytes   int64
	failed  bool
}

func (w *writer) Write(p []byte) (int, error) {
	n, err := w.inner.Write(p)
	w.bytes += int64(n)
	w.fail(err)
	return n, err
}

func (w *writer) Commit() error {
	err := w.inner.Commit()
	w.fail(err)
	if err == nil {
		w.metrics.wrote(w.kind, w.bytes)
	}
	return err
}

func (w *writer) Abort() { w.inner.Abort() }

func (w *writer) fail(err error) {
	if err != nil && !w.failed {
		w.failed = true
		w.metrics.failed(verbWrite, err)
	}
}
