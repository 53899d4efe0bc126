package httpcache

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/larder-build/larder/server/blobstore"
)

func ask(h http.Handler, method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, http.NoBody))
	return w
}

func TestStatus(t *testing.T) {
	t.Parallel()
	stats := blobstore.Stats{
		Blobs: 1, ActionResults: 2, LogicalBytes: 3, StoredBytes: 4, DiskBytes: 5, MaxBytes: 6, ReservedBytes: 7,
		Files: 8, EvictedBlobs: 9, EvictedBytes: 10, CorruptBlobs: 11, Oldest: time.Unix(12, 0),
	}
	h := StatusHandler(func() blobstore.Stats { return stats }, Build{Version: "v1", GitCommit: "c0ffee", GitTags: "v1"})
	w := ask(h, http.MethodGet, "/status")
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d, %v: %s", w.Code, err, w.Body)
	}
	for field, want := range map[string]any{
		"CurrSize": 5., "UncompressedSize": 3., "ReservedSize": 7., "MaxSize": 6., "NumFiles": 3.,
		"GitCommit": "c0ffee", "GitTags": "v1", "Version": "v1", "Blobs": 1., "ActionResults": 2., "StoredSize": 4.,
		"StoreFiles": 8., "EvictedBlobs": 9., "EvictedSize": 10., "CorruptBlobs": 11., "OldestTime": 12.,
	} {
		if got[field] != want {
			t.Errorf("%s = %v, want %v", field, got[field], want)
		}
	}
	for _, field := range []string{"ServerTime", "NumGoroutines"} {
		if n, _ := got[field].(float64); n <= 0 {
			t.Errorf("%s = %v", field, got[field])
		}
	}
	if w := ask(h, http.MethodPut, "/status"); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("PUT: %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
}

func TestIndex(t *testing.T) {
	t.Parallel()
	h := IndexHandler(Build{Version: "v1"})
	w := ask(h, http.MethodGet, "/")
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "Larder v1") || !strings.Contains(w.Body.String(), "/status") {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
	if w := ask(h, http.MethodPut, "/"); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("PUT: %d", w.Code)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	starting := HealthHandler(func() error { return errors.New("reading the index") })
	started := HealthHandler(func() error { return nil })
	for _, tt := range []struct {
		h    http.Handler
		path string
		code int
		text string
	}{
		{starting, "/healthz", 200, "ok"},
		{starting, "/healthz?ready", 503, "reading the index"},
		{starting, "/readyz", 503, "reading the index"},
		{started, "/healthz?ready=1", 200, "ok"},
		{started, "/readyz", 200, "ok"},
		{HealthHandler(nil), "/readyz", 200, "ok"},
	} {
		w := ask(tt.h, http.MethodGet, tt.path)
		if w.Code != tt.code || !strings.Contains(w.Body.String(), tt.text) {
			t.Errorf("%s: %d %q, want %d %q", tt.path, w.Code, w.Body, tt.code, tt.text)
		}
	}
	if w := ask(started, http.MethodPost, "/healthz"); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "larder_test_total", Help: "Test."})
	reg.MustRegister(counter)
	counter.Inc()
	if w := ask(MetricsHandler(reg, nil), http.MethodGet, "/metrics"); w.Code != 200 || !strings.Contains(w.Body.String(), "larder_test_total 1") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
