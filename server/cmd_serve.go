package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/grpclog"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"github.com/larder-build/larder/server/actioncache"
	"github.com/larder-build/larder/server/admin"
	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/metered"
	"github.com/larder-build/larder/server/blobstore/segment"
	"github.com/larder-build/larder/server/httpcache"
	"github.com/larder-build/larder/server/insight"
	"github.com/larder-build/larder/server/reapi"
)

// cmdServe serves until a signal or an idle timeout ends it.
func cmdServe(cfg *config, sys system) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(signals)

	log := newLogger(cfg, sys.stderr, cfg.logLevel())
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, slog.NewLogLogger(log.Handler(), slog.LevelError).Writer()))

	var s *server
	err := interruptible(signals, func(ctx context.Context) (err error) {
		s, err = newServer(ctx, cfg, sys, log)
		return err
	})
	if err != nil {
		return err
	}
	if s == nil {
		log.Info("stopped before serving")
		return nil
	}
	return s.run(signals)
}

// interruptible runs open, which may take a while, and ends its context at a
// signal. It returns nil if a signal was why open failed. A signal that came
// too late for that is left for who reads the channel next.
func interruptible(signals chan os.Signal, open func(context.Context) error) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- open(ctx) }()
	var sig os.Signal
	select {
	case err := <-done:
		return err
	case sig = <-signals:
		cancel()
	}
	select {
	case err := <-done:
		if errors.Is(err, context.Canceled) {
			return nil
		}
		select {
		case signals <- sig:
		default: // there are more
		}
		return err
	case <-signals:
		return errQuit
	}
}

// server is everything that runs.
type server struct {
	cfg *config
	sys system
	log *slog.Logger

	listeners listeners
	tls       bool
	watch     *insight.Insight
	store     *segment.Store
	reapi     *reapi.Server
	grpc      *grpc.Server
	health    *health.Server
	http      *http.Server
	profile   *http.Server
	gate      gate
	stopping  chan struct{} // closed when the server begins to stop
}

// newServer opens the listeners and the store and puts everything together.
// This is the wiring: what is above gets what is below.
func newServer(ctx context.Context, cfg *config, sys system, log *slog.Logger) (_ *server, err error) {
	s := &server{cfg: cfg, sys: sys, log: log, stopping: make(chan struct{})}
	secure, err := tlsConfig(cfg, s.log)
	if err != nil {
		return nil, err
	}
	s.tls = secure != nil
	if s.listeners, err = openListeners(ctx, cfg); err != nil {
		return nil, err
	}
	reg := newRegistry()
	if s.store, err = openStore(ctx, cfg, s.log, reg); err != nil {
		s.listeners.close()
		return nil, err
	}
	space := cfg.namespace()
	store := metered.New(s.store, reg)
	actions := actioncache.New(actioncache.Options{
		Store: store, Namespace: space, SkipCompleteness: cfg.DisableGRPCACDepsCheck, Logger: s.log, Registerer: reg,
	})
	s.reapi = reapi.New(reapi.Options{
		Store: store, ActionCache: actions, Namespace: space, ReadOnly: cfg.ReadOnly,
		MaxBlobSize: cfg.maxBlobSize(), MaxBatchBytes: int64(cfg.MaxBatch), MaxInflightBytes: int64(cfg.MaxInflight),
		DrainUploads: cfg.DrainUploads, PartialTTL: cfg.PartialUploadsTTL, PartialBytes: int64(cfg.PartialUploadsMaxSize),
		Logger: s.log, Registerer: reg,
	})
	s.store.OnNoSpace(s.reapi.GiveUpUpload)
	cache := httpcache.New(httpcache.Options{
		Store: store, ActionCache: actions, Namespace: space, ReadOnly: cfg.ReadOnly,
		MaxBlobSize: cfg.maxBlobSize(), SkipACValidation: cfg.DisableHTTPACValidation, SpoolDir: cfg.Dir, Logger: s.log,
	})
	s.watch = insight.New(insight.Options{
		Registerer: reg, Logger: s.log, AccessLog: cfg.accessLog(sys.stderr), Buckets: cfg.durationBuckets(),
	})
	s.grpc = s.newGRPC(secure)
	s.http = s.newHTTP(secure, cache, reg)
	s.profile = newProfileServer(s.log)
	return s, nil
}

// newGRPC returns the gRPC server with all its services.
func (s *server) newGRPC(secure *tls.Config) *grpc.Server {
	options := append(s.watch.GRPCOptions(), grpc.ChainStreamInterceptor(s.endOnStop))
	options = append(options, s.reapi.GRPCOptions()...)
	if secure != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(secure)))
	}
	g := grpc.NewServer(options...)
	s.reapi.Register(g)
	admin.New(s.store.Stats, admin.Info{Version: readVersion().String(), StoreKind: "segment", Directory: s.cfg.Dir}).Register(g)
	s.health = health.NewServer()
	healthpb.RegisterHealthServer(g, s.health)
	reflection.Register(g) // v1, and v1alpha for older tools
	return g
}

// newHTTP returns the HTTP server: the cache, and the pages about it.
func (s *server) newHTTP(secure *tls.Config, cache http.Handler, reg *prometheus.Registry) *http.Server {
	build := readVersion().build()
	pages := map[string]http.Handler{
		"/":        httpcache.IndexHandler(build),
		"/status":  httpcache.StatusHandler(s.store.Stats, build),
		"/healthz": httpcache.HealthHandler(s.healthy),
		"/readyz":  httpcache.HealthHandler(s.healthy),
		"/metrics": httpcache.MetricsHandler(reg, s.log),
	}
	// An http.ServeMux would answer instance names that it finds untidy with a
	// redirection.
	mux := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if page, ok := pages[r.URL.Path]; ok {
			page.ServeHTTP(w, r)
			return
		}
		cache.ServeHTTP(w, r)
	})
	return &http.Server{
		Handler:           s.watch.HTTP(s.gate.handler(mux)),
		TLSConfig:         secure,
		ReadTimeout:       s.cfg.HTTPReadTimeout,
		ReadHeaderTimeout: httpHeaderTimeout,
		WriteTimeout:      s.cfg.HTTPWriteTimeout,
		IdleTimeout:       httpIdleTimeout,
		MaxHeaderBytes:    httpMaxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), // of clients' mistakes
	}
}

// Limits of HTTP connections that are no setting.
const (
	httpHeaderTimeout = 30 * time.Second
	httpIdleTimeout   = 5 * time.Minute
	httpMaxHeader     = 64 * kib
)

// namespace is what instance names keep apart.
func (c *config) namespace() blobstore.Namespace {
	return blobstore.Namespace{IsolateCAS: c.IsolateCAS, ShareAC: !c.EnableACKeyInstanceMangling}
}

// maxBlobSize is the limit as the listeners take it: 0 for none.
func (c *config) maxBlobSize() int64 {
	if c.MaxBlobSize == unlimited {
		return 0
	}
	return int64(c.MaxBlobSize)
}

// durationBuckets returns none where durations are not measured.
func (c *config) durationBuckets() []float64 {
	if !c.EnableEndpointMetrics {
		return nil
	}
	return c.EndpointMetricsDurationBuckets
}

// listeners are nil where they are off.
type listeners struct{ grpc, http, profile net.Listener }

func openListeners(ctx context.Context, cfg *config) (l listeners, err error) {
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	for _, open := range []struct {
		setting, value string
		into           *net.Listener
	}{
		{"grpc_address", cfg.GRPCAddress, &l.grpc},
		{"http_address", cfg.HTTPAddress, &l.http},
		{"profile_address", cfg.ProfileAddress, &l.profile},
	} {
		if open.value == "" || open.value == none {
			continue
		}
		a, err := parseAddress(open.value)
		if err != nil {
			return l, err
		}
		if *open.into, err = listen(ctx, open.setting, a); err != nil {
			return l, err
		}
	}
	return l, nil
}

// close closes what no server has taken over.
func (l listeners) close() {
	for _, one := range []net.Listener{l.grpc, l.http, l.profile} {
		if one != nil {
			one.Close()
		}
	}
}
