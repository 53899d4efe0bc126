package reapi

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are those that only the handlers can know; the rest are counted by
// the interceptors of package insight and by the stores.
type metrics struct {
	panics         prometheus.Counter
	earlyReturns   prometheus.Counter
	resumed        prometheus.Counter
	dropped        prometheus.Counter
	partials       prometheus.Gauge
	partialBytes   prometheus.Gauge
	mismatches     prometheus.Counter
	memoryRefusals prometheus.Counter
}

// newMetrics registers the metrics; r may be nil.
func newMetrics(r prometheus.Registerer) *metrics {
	f := promauto.With(r)
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: "larder_reapi_" + name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return f.NewGauge(prometheus.GaugeOpts{Name: "larder_reapi_" + name, Help: help})
	}
	return &metrics{
		panics:         counter("panics_total", "RPCs that ended in a panic of the server and were answered INTERNAL."),
		earlyReturns:   counter("uploads_already_present_total", "ByteStream uploads that ended early because the blob was there."),
		resumed:        counter("uploads_resumed_total", "ByteStream uploads that went on where an earlier stream broke."),
		dropped:        counter("uploads_dropped_total", "Unfinished uploads that were dropped before a client resumed them."),
		partials:       gauge("uploads_parked", "Unfinished uploads that wait for a client to resume them."),
		partialBytes:   gauge("uploads_parked_bytes", "Bytes of the store reserved by uploads that wait for a client to resume them."),
		mismatches:     counter("uploads_mismatched_total", "Uploaded blobs refused because their content was not what their digest says."),
		memoryRefusals: counter("memory_refusals_total", "RPCs refused because too many bytes were in flight for too long."),
	}
}
