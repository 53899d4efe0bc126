// Package reapi serves the Remote Execution API v2 over gRPC: the
// ContentAddressableStorage, ActionCache, ByteStream and Capabilities
// services, one file each. Rule numbers in comments are those of the project's
// list of protocol rules; the text of the protocol is remote_execution.proto
// of github.com/bazelbuild/remote-apis.
//
// Hot messages are not unmarshalled: see package codec. Errors of the store
// become gRPC codes in status.go, and nowhere else.
package reapi

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"github.com/larder-build/larder/server/blobstore"
)

// Options says what a Server serves and within which limits. Only Store must
// be set.
type Options struct {
	Store     blobstore.Store
	Namespace blobstore.Namespace
	// MaxBlobSize is the size in bytes of the largest blob that is taken; 0 is
	// no limit (rule 27).
	MaxBlobSize int64
	// MaxBatchBytes is the total size in bytes of the blobs in one batch; 0 is
	// DefaultMaxBatchBytes, and it is never more than MaxMaxBatchBytes (rule 19).
	MaxBatchBytes int64
	// ReadOnly refuses all writes with PERMISSION_DENIED.
	ReadOnly bool

	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Server implements the services. Register it with one gRPC server that was
// made with its GRPCOptions.
type Server struct {
	opts Options
	log  *slog.Logger

	// base is done when the server closes; uploads outlive their streams but
	// not this.
	base context.Context
	stop context.CancelFunc
}

// New returns a server. The caller must Close it after the gRPC server that it
// is registered with has stopped.
func New(o Options) *Server {
	s := &Server{opts: o, log: o.Logger}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.base, s.stop = context.WithCancel(context.Background())
	return s
}

// Register adds the services to a gRPC server.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	for _, d := range s.services() {
		r.RegisterService(d, s)
	}
}

// Close drops unfinished uploads. It must be called once, when no RPC runs.
func (s *Server) Close() { s.stop() }
