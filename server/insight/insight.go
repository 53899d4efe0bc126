// Package insight tells what a server is doing: metrics of the requests of
// every listener, of the bytes on its connections, and an access log with one
// form for gRPC and HTTP.
//
// It is on the path of every request, and gRPC's CPU time per request is what
// this server is chosen for. So it uses interceptors, not a stats.Handler, which
// allocates per request and per message; it keeps a method's counters at hand
// instead of looking labels up; and it reads a request's content only where the
// access log is on.
package insight

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options says what an Insight tells, and where. The zero value counts
// requests and tells nobody.
type Options struct {
	// Registerer takes the metrics; nil keeps them to oneself.
	Registerer prometheus.Registerer
	// AccessLog gets a record per request; nil logs none.
	AccessLog *slog.Logger
	// Logger gets what is strange on connections; nil logs nothing.
	Logger *slog.Logger
	// Buckets are the upper bounds, in seconds, of the histogram of durations;
	// without any, durations are not measured.
	Buckets []float64
}

// Insight watches the listeners of one server. Its methods may be called at
// the same time.
type Insight struct {
	opts     Options
	log      *slog.Logger // of access
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec // nil if not measured
	traffic  traffic

	grpc, http listener

	lastDone atomic.Int64 // Unix nanoseconds at the end of the newest request
}

// listener counts what goes through one listener.
type listener struct {
	name     string
	methods  methods
	inFlight atomic.Int64 // all requests
	working  atomic.Int64 // those that are not probes
}

// New returns an Insight.
func New(o Options) *Insight {
	i := &Insight{
		opts: o,
		log:  o.AccessLog,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "larder_requests_total",
			Help: "Requests answered, by listener, method and code (gRPC's name or HTTP's number).",
		}, []string{"listener", "method", "code"}),
		traffic: newTraffic(),
	}
	i.grpc.name, i.http.name = "grpc", "http"
	i.lastDone.Store(time.Now().UnixNano())
	if len(o.Buckets) > 0 {
		i.duration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "larder_request_duration_seconds",
			Help:    "Time from a request's arrival to the end of its answer, by listener and method.",
			Buckets: o.Buckets,
		}, []string{"listener", "method"})
	}
	i.register(o.Registerer)
	return i
}

func (i *Insight) register(reg prometheus.Registerer) {
	if reg == nil {
		return
	}
	reg.MustRegister(i.requests)
	if i.duration != nil {
		reg.MustRegister(i.duration)
	}
	i.traffic.register(reg)
	for _, l := range []*listener{&i.grpc, &i.http} {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "larder_requests_in_flight",
			Help:        "Requests being answered now, by listener.",
			ConstLabels: prometheus.Labels{"listener": l.name},
		}, func() float64 { return float64(l.inFlight.Load()) }))
	}
}

// InFlight returns the number of requests being answered now.
func (i *Insight) InFlight() int64 {
	return i.grpc.inFlight.Load() + i.http.inFlight.Load()
}
