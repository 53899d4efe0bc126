package reapi

import (
	"context"
	"log/slog"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // clients may compress messages
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/larder-build/larder/server/reapi/codec"
)

const (
	// maxRequestBytes is the size in bytes of the largest message that is
	// received: a full batch with the framing of its blobs, and generous room
	// for what has no batch limit.
	maxRequestBytes = 8 << 20

	// maxConcurrentStreams is per connection. Bazel has about 100 at a time on
	// each of its connections; others have one connection for all.
	maxConcurrentStreams = 10_000

	// streamWorkers keep their grown stacks between calls. More calls than
	// these at a time get goroutines of their own.
	streamWorkers = 16

	// streamWindow is how many bytes of a stream a client may send before the
	// handler takes them, and connWindow is how many of a connection's are
	// under way. They are fixed: windows that grow with the bandwidth reach
	// 16 MiB a stream, which 64 uploads at once would fill.
	streamWindow = 256 << 10
	connWindow   = 4 << 20

	// keepaliveTime and keepaliveTimeout find clients that went away without a
	// word, whose uploads would hold memory.
	keepaliveTime    = time.Minute
	keepaliveTimeout = 20 * time.Second
	// keepaliveMinTime is how often a client may ping, with or without a call
	// under way.
	keepaliveMinTime = time.Second
)

// GRPCOptions returns the options that the gRPC server must have been made
// with: the codec, the limits, and a guard against panics. Interceptors of the
// caller go before these to see what the guard makes of a panic.
func (s *Server) GRPCOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(codec.New()),
		grpc.MaxRecvMsgSize(maxRequestBytes),
		grpc.MaxConcurrentStreams(maxConcurrentStreams),
		grpc.NumStreamWorkers(streamWorkers),
		grpc.StaticStreamWindowSize(streamWindow),
		grpc.StaticConnWindowSize(connWindow),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: keepaliveMinTime, PermitWithoutStream: true}),
		grpc.WaitForHandlers(true),
		grpc.ChainUnaryInterceptor(s.guardUnary),
		grpc.ChainStreamInterceptor(s.guardStream),
	}
}

// guardUnary answers INTERNAL where a handler panics.
func (s *Server) guardUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
	defer func() {
		if p := recover(); p != nil {
			resp, err = nil, s.panicked(info.FullMethod, p)
		}
	}()
	return handler(ctx, req)
}

// guardStream is guardUnary for streams.
func (s *Server) guardStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = s.panicked(info.FullMethod, p)
		}
	}()
	return handler(srv, stream)
}

func (s *Server) panicked(method string, p any) error {
	s.metrics.panics.Inc()
	s.log.Error("a handler panicked", slog.String("method", method), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
	return status.Errorf(codes.Internal, "the server failed on this request (%s); its log says more", method)
}
