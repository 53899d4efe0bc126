package segment

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what an operator watches of the store.
type metrics struct {
	evictedSegments, evictedBlobs, evictedBytes prometheus.Counter
	carriedBlobs, carriedBytes                  prometheus.Counter
	cutShort, corrupt, writeErrors, syncErrors  prometheus.Counter
	syncSeconds, evictionAge                    prometheus.Histogram
	freeBytes                                   prometheus.Gauge
	all                                         []prometheus.Collector
	registered                                  int
}

func newMetrics(s *Store) *metrics {
	m := &metrics{}
	m.evictedSegments = m.counter("evicted_segments_total", "Segments that were dropped to make room.")
	m.evictedBlobs = m.counter("evicted_blobs_total", "Blobs and action results that were forgotten to make room.")
	m.evictedBytes = m.counter("evicted_bytes_total", "Stored bytes of what was forgotten to make room.")
	m.carriedBlobs = m.counter("carried_blobs_total", "Blobs and action results that were kept when their segment was dropped, as they had been used.")
	m.carriedBytes = m.counter("carried_bytes_total", "Stored bytes of what was kept when its segment was dropped.")
	m.cutShort = m.counter("lifetimes_cut_short_total", "Blobs and action results that were forgotten sooner after their last use than the minimum lifetime.")
	m.corrupt = m.counter("corrupt_total", "Records and segments whose bytes were not those that were written.")
	m.writeErrors = m.counter("write_errors_total", "Writes that the file system refused.")
	m.syncErrors = m.counter("sync_errors_total", "Syncs that failed.")
	m.syncSeconds = m.histogram("sync_seconds", "Time that a sync of one segment took.", prometheus.ExponentialBuckets(0.0005, 4, 9))
	m.evictionAge = m.histogram("eviction_age_seconds", "Time from the last use of a blob, or its writing, to its eviction.", prometheus.ExponentialBuckets(60, 4, 10))
	m.freeBytes = prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "larder", Subsystem: "segment", Name: "free_bytes", Help: "Bytes that are free on the store's file system."})
	m.all = append(m.all, m.freeBytes)
	m.gauge("disk_bytes", "Bytes that the store takes on disk, dead room included.", func() int64 { return s.room.disk.Load() })
	m.gauge("max_bytes", "The most bytes that the store may take on disk.", func() int64 { return s.opts.MaxBytes })
	m.gauge("reserved_bytes", "Room of the writes under way.", func() int64 { return s.room.reserved.Load() })
	m.gauge("blobs", "Blobs of the CAS that can be read.", func() int64 { return s.index.blobs.Load() })
	m.gauge("action_results", "Action results that can be read.", func() int64 { return s.index.results.Load() })
	m.gauge("logical_bytes", "Uncompressed bytes of all that can be read.", func() int64 { return s.index.bytes.Load() })
	m.gauge("stored_bytes", "Stored bytes of all that can be read.", func() int64 { return s.stored.Load() })
	m.gauge("files", "Segment files.", func() int64 { return int64(len(s.segs.all())) })
	return m
}

func (m *metrics) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "larder", Subsystem: "segment", Name: name, Help: help})
	m.all = append(m.all, c)
	return c
}

func (m *metrics) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "larder", Subsystem: "segment", Name: name, Help: help, Buckets: buckets})
	m.all = append(m.all, h)
	return h
}

func (m *metrics) gauge(name, help string, value func() int64) {
	opts := prometheus.GaugeOpts{Namespace: "larder", Subsystem: "segment", Name: name, Help: help}
	m.all = append(m.all, prometheus.NewGaugeFunc(opts, func() float64 { return float64(value()) }))
}

func (m *metrics) register(reg prometheus.Registerer) error {
	if reg == nil {
		return nil
	}
	for i, c := range m.all {
		if err := reg.Register(c); err != nil {
			m.registered = i
			m.unregister(reg)
			return err
		}
	}
	m.registered = len(m.all)
	return nil
}

func (m *metrics) unregister(reg prometheus.Registerer) {
	for _, c := range m.all[:m.registered] {
		reg.Unregister(c)
	}
	m.registered = 0
}

// synced notes a sync of one segment.
func (m *metrics) synced(took time.Duration, err error) {
	m.syncSeconds.Observe(took.Seconds())
	if err != nil {
		m.syncErrors.Inc()
	}
}
