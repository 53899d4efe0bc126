package httpcache

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/larder-build/larder/server/blobstore"
)

// Build tells which program is running.
type Build struct {
	Version string
	// GitCommit and GitTags are of the source, empty where they are not known.
	GitCommit, GitTags string
}

// status is the answer of /status. The fields down to NumGoroutines are
// bazel-remote's, with its meanings.
type status struct {
	CurrSize         int64 // bytes on disk
	UncompressedSize int64
	ReservedSize     int64
	MaxSize          int64
	NumFiles         int64 // blobs and action results
	ServerTime       int64 // seconds since 1970
	GitCommit        string
	GitTags          string
	NumGoroutines    int

	Version       string
	UptimeSeconds int64
	Blobs         int64
	ActionResults int64
	StoredSize    int64
	StoreFiles    int64
	EvictedBlobs  int64
	EvictedSize   int64
	CorruptBlobs  int64
	OldestTime    int64 // seconds since 1970, 0 in an empty store
}

// StatusHandler serves /status: what the store holds, as JSON with
// bazel-remote's fields and some more. Sizes are in bytes.
func StatusHandler(stats func() blobstore.Stats, build Build) http.Handler {
	started := time.Now()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !readOnlyMethod(w, r) {
			return
		}
		text, err := json.MarshalIndent(newStatus(stats(), build, started), "", " ")
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", jsonType)
		_, _ = w.Write(append(text, '\n')) // a client that went away is its own affair
	})
}

func newStatus(s blobstore.Stats, build Build, started time.Time) status {
	st := status{
		CurrSize:         s.DiskBytes,
		UncompressedSize: s.LogicalBytes,
		ReservedSize:     s.ReservedBytes,
		MaxSize:          s.MaxBytes,
		NumFiles:         s.Blobs + s.ActionResults,
		ServerTime:       time.Now().Unix(),
		GitCommit:        build.GitCommit,
		GitTags:          build.GitTags,
		NumGoroutines:    runtime.NumGoroutine(),

		Version:       build.Version,
		UptimeSeconds: int64(time.Since(started) / time.Second),
		Blobs:         s.Blobs,
		ActionResults: s.ActionResults,
		StoredSize:    s.StoredBytes,
		StoreFiles:    s.Files,
		EvictedBlobs:  s.EvictedBlobs,
		EvictedSize:   s.EvictedBytes,
		CorruptBlobs:  s.CorruptBlobs,
	}
	if !s.Oldest.IsZero() {
		st.OldestTime = s.Oldest.Unix()
	}
	return st
}

// IndexHandler serves /, for who opens the address in a browser: what this is
// and what there is to see.
func IndexHandler(build Build) http.Handler {
	text := []byte("Larder " + build.Version + `, a build cache.

GET, HEAD, PUT ` + pathForm + `

/status    the store, as JSON
/metrics   for Prometheus
/healthz   is it alive?
/readyz    does it serve?
`)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !readOnlyMethod(w, r) {
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write(text) // a client that went away is its own affair
	})
}

// HealthHandler serves /healthz and /readyz. The first says that the process
// lives; the second, and the first with ?ready, that it can serve: ready then
// returns nil, else why not, which is answered with 503. A nil ready is always
// ready.
func HealthHandler(ready func() error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !readOnlyMethod(w, r) {
			return
		}
		wantsReady := strings.HasSuffix(r.URL.Path, "/readyz") || r.URL.Query().Has("ready")
		if wantsReady && ready != nil {
			if err := ready(); err != nil {
				w.Header().Set("Retry-After", strconv.Itoa(retryAfterSeconds))
				http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
				return
			}
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("ok\n")) // a client that went away is its own affair
	})
}

// MetricsHandler serves /metrics in Prometheus' formats. Logger may be nil.
func MetricsHandler(g prometheus.Gatherer, logger *slog.Logger) http.Handler {
	opts := promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, EnableOpenMetrics: true}
	if logger != nil {
		opts.ErrorLog = slog.NewLogLogger(logger.Handler(), slog.LevelError)
	}
	return promhttp.HandlerFor(g, opts)
}

// readOnlyMethod refuses all but GET and HEAD.
func readOnlyMethod(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	w.Header().Set("Allow", "GET, HEAD")
	http.Error(w, "method "+strconv.Quote(r.Method)+": want GET or HEAD", http.StatusMethodNotAllowed)
	return false
}
