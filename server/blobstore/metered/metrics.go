package metered

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/larder-build/larder/server/blobstore"
)

type verb int

const (
	verbGet verb = iota
	verbFindMissing
	verbRead
	verbPut
	verbWrite
	verbRemove
	verbs
)

var verbNames = [verbs]string{"get", "find_missing", "read", "put", "write", "remove"}

type result int

const (
	hit result = iota
	miss
	results
)

var resultNames = [results]string{"hit", "miss"}

// kinds is how many kinds of key there are; kindOf maps them from 0.
const kinds = 2

func kindOf(k blobstore.Key) int {
	if k.Kind == blobstore.AC {
		return 1
	}
	return 0
}

var kindNames = [kinds]string{blobstore.CAS.String(), blobstore.AC.String()}

// metrics holds each counter by its labels, looked up once.
type metrics struct {
	lookups      [verbFindMissing + 1][kinds][results]prometheus.Counter
	blobsWritten [kinds]prometheus.Counter
	writtenBytes [kinds]prometheus.Counter
	readBytes    [kinds]prometheus.Counter
	errors       *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) metrics {
	f := promauto.With(reg)
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Namespace: "larder", Subsystem: "store", Name: name, Help: help}, labels)
	}
	lookups := counter("lookups_total", "Blobs asked for, by whether the store has them.", "verb", "kind", "result")
	blobs := counter("blobs_written_total", "Blobs whose write was acknowledged.", "kind")
	written := counter("written_bytes_total", "Bytes of the blobs whose write was acknowledged, in the encoding they came in.", "kind")
	read := counter("read_bytes_total", "Bytes read, in the encoding they are stored in.", "kind")
	m := metrics{errors: counter("errors_total", "Verbs that failed; a blob that is not there is no failure.", "verb", "reason")}
	for k, kind := range kindNames {
		for v := range m.lookups {
			for r, result := range resultNames {
				m.lookups[v][k][r] = lookups.WithLabelValues(verbNames[v], kind, result)
			}
		}
		m.blobsWritten[k] = blobs.WithLabelValues(kind)
		m.writtenBytes[k] = written.WithLabelValues(kind)
		m.readBytes[k] = read.WithLabelValues(kind)
	}
	return m
}

func (m *metrics) wrote(kind int, bytes int64) {
	m.blobsWritten[kind].Inc()
	m.writtenBytes[kind].Add(float64(bytes))
}

func (m *metrics) failed(v verb, err error) {
	m.errors.WithLabelValues(verbNames[v], reason(err)).Inc()
}

// reason names what an error says in the words of the contract.
func reason(err error) string {
	for _, r := range []struct {
		err  error
		name string
	}{
		{blobstore.ErrNotFound, "not_found"},
		{blobstore.ErrCorrupt, "corrupt"},
		{blobstore.ErrMismatch, "mismatch"},
		{blobstore.ErrNoSpace, "no_space"},
		{blobstore.ErrTooLarge, "too_large"},
		{context.Canceled, "canceled"},
		{context.DeadlineExceeded, "deadline"},
		{blobstore.ErrUnavailable, "unavailable"},
	} {
		if errors.Is(err, r.err) {
			return r.name
		}
	}
	return "other"
}
