package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/larder-build/larder/server/insight"
)

// errQuit is what a second signal ends the server with.
var errQuit = errors.New("second signal: left at once, without finishing requests or syncing the store")

// run serves until a signal, an idle timeout or a failure, and stops.
func (s *server) run(signals <-chan os.Signal) error {
	failed := s.start()
	s.announce()
	idle, cancel := s.watchIdle()
	defer cancel()

	var cause error
	select {
	case sig := <-signals:
		s.log.Info("stopping", slog.String("reason", sig.String()), slog.Int64("in_flight", s.watch.InFlight()))
	case <-idle:
		s.log.Info("stopping", slog.String("reason", "idle_timeout"), slog.Duration("idle_timeout", s.cfg.IdleTimeout))
	case cause = <-failed:
		s.log.Error("stopping", slog.Any("error", cause))
	}
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	select {
	case err := <-stopped:
		return errors.Join(cause, err)
	case <-signals:
		return errQuit
	}
}

// start starts what listens. The channel tells of the first that fails.
func (s *server) start() <-chan error {
	failed := make(chan error, 3)
	report := func(setting string, err error) {
		if err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, grpc.ErrServerStopped) {
			failed <- fmt.Errorf("%s: %w", setting, err)
		}
	}
	grpcProtocol, httpProtocol := insight.GRPC(), insight.HTTP()
	if s.tls {
		grpcProtocol, httpProtocol = grpcProtocol.TLS(), httpProtocol.TLS()
	}
	if l := s.listeners.grpc; l != nil {
		go func() { report("grpc_address", s.grpc.Serve(s.watch.Listener(l, grpcProtocol))) }()
	}
	if l := s.listeners.http; l != nil {
		go func() { report("http_address", s.serveHTTP(s.watch.Listener(l, httpProtocol))) }()
	}
	if l := s.listeners.profile; l != nil {
		go func() { report("profile_address", s.profile.Serve(l)) }()
	}
	return failed
}

func (s *server) serveHTTP(l net.Listener) error {
	if s.tls {
		return s.http.ServeTLS(l, "", "")
	}
	return s.http.Serve(l)
}

// watchIdle returns a channel that is closed when the idle timeout is over;
// nil without one.
func (s *server) watchIdle() (<-chan struct{}, context.CancelFunc) {
	if s.cfg.IdleTimeout == 0 {
		return nil, func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	idle := make(chan struct{})
	go func() {
		if s.watch.WaitIdle(ctx, s.cfg.IdleTimeout) == nil {
			close(idle)
		}
	}()
	return idle, cancel
}

// stop takes no new requests, lets those under way finish for as long as
// --shutdown_timeout, cuts off the rest, and closes the store, which syncs it.
func (s *server) stop() error {
	close(s.stopping)
	s.health.Shutdown()
	s.tellSystemd("STOPPING=1")
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.ShutdownTimeout)
	defer cancel()

	var finishing sync.WaitGroup
	finishing.Go(func() { s.stopGRPC(ctx) })
	finishing.Go(func() { s.stopHTTP(ctx) })
	finishing.Wait()
	s.profile.Close()
	s.reapi.Close()

	start := time.Now()
	if err := s.store.Close(); err != nil {
		return fmt.Errorf("closing the store: %w", err)
	}
	s.log.Info("stopped", slog.Duration("store_closed_in", time.Since(start)))
	return nil
}

func (s *server) stopGRPC(ctx context.Context) {
	done := make(chan struct{})
	go func() { s.grpc.GracefulStop(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		s.cutOff("grpc")
		s.grpc.Stop()
		<-done
	}
}

func (s *server) stopHTTP(ctx context.Context) {
	if err := s.http.Shutdown(ctx); err != nil {
		s.cutOff("http")
		s.http.Close()
	}
	s.gate.close()
}

func (s *server) cutOff(listener string) {
	s.log.Warn("cutting off requests that did not finish within shutdown_timeout", slog.String("listener", listener),
		slog.Duration("shutdown_timeout", s.cfg.ShutdownTimeout), slog.Int64("in_flight", s.watch.InFlight()))
}

// healthy returns nil while requests are welcome.
func (s *server) healthy() error {
	select {
	case <-s.stopping:
		return errors.New("stopping")
	default:
		return nil
	}
}

// endOnStop ends the streams that last for as long as a client likes, which
// would keep a stopping server waiting: health watches and reflection.
func (s *server) endOnStop(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	if !strings.HasPrefix(info.FullMethod, "/grpc.") {
		return handle(srv, stream)
	}
	done := make(chan error, 1)
	go func() { done <- handle(srv, stream) }() // ends with the stream
	select {
	case err := <-done:
		return err
	case <-s.stopping:
		return status.Error(codes.Unavailable, "server is shutting down")
	}
}

func (s *server) tellSystemd(state string) {
	if err := notifySystemd(s.sys.environ, state); err != nil {
		s.log.Warn("cannot notify systemd", slog.String("state", state), slog.Any("error", err))
	}
}
