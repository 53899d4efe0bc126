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
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"github.com/larder-build/larder/server/actioncache"
	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/reapi/codec"
)

// The defaults of Options.
const (
	// DefaultMaxBatchBytes leaves room in a reply of MaxReplyBytes for what
	// frames a batch of some 4,000 blobs.
	DefaultMaxBatchBytes = 3584 << 10
	// DefaultMaxInflightBytes is 128 MiB.
	DefaultMaxInflightBytes = 128 << 20
	// DefaultPartialUploads, DefaultPartialBytes and DefaultPartialTTL bound the
	// uploads that wait to be resumed: 1,000 of them, of 2 GiB in all, for 10
	// minutes. Bazel comes back within half a minute.
	DefaultPartialUploads = 1000
	DefaultPartialBytes   = 2 << 30
	DefaultPartialTTL     = 10 * time.Minute
)

const (
	// MaxReplyBytes is the size in bytes of the largest message that is sent: a
	// gRPC client takes no larger one unless told to.
	MaxReplyBytes = 4 << 20
	// maxMaxBatchBytes leaves room for some framing, whatever the options say.
	maxMaxBatchBytes = MaxReplyBytes - 64<<10
)

// Options says what a Server serves and within which limits. Only Store must
// be set.
type Options struct {
	Store     blobstore.Store
	Namespace blobstore.Namespace
	// ActionCache has the action results; one over Store if it is nil.
	ActionCache *actioncache.Cache
	// MaxBlobSize is the size in bytes of the largest blob that is taken; 0 is
	// no limit (rule 27).
	MaxBlobSize int64
	// MaxBatchBytes is the total size in bytes of the blobs in one batch (rule
	// 19); 0 is DefaultMaxBatchBytes. More than fits in a reply of
	// MaxReplyBytes is cut down to what does.
	MaxBatchBytes int64
	// ReadOnly refuses all writes with PERMISSION_DENIED.
	ReadOnly bool

	// MaxInflightBytes bounds the memory in bytes that large messages of
	// requests in flight take, for requests and replies each: batches, and
	// stream messages over 64 KiB. What does not fit waits, and after a while
	// is refused with RESOURCE_EXHAUSTED. 0 is DefaultMaxInflightBytes.
	MaxInflightBytes int64

	// DrainUploads reads what a client still sends of an upload that ended early,
	// since the blob is there (rule 11), before it is answered: some proxies
	// take an answer before the end of the request for a failure.
	DrainUploads bool

	// PartialUploads, PartialBytes and PartialTTL bound the uploads whose
	// stream broke and that wait to be resumed (rule 17), by number, by the
	// bytes that they have reserved in the store, and by time. Past a bound the
	// oldest is dropped. 0 is the default of each; a negative PartialUploads
	// keeps none.
	PartialUploads int
	PartialBytes   int64
	PartialTTL     time.Duration

	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

func (o Options) withDefaults() Options {
	o.MaxBatchBytes = min(cmp.Or(o.MaxBatchBytes, DefaultMaxBatchBytes), maxMaxBatchBytes)
	o.MaxInflightBytes = cmp.Or(o.MaxInflightBytes, DefaultMaxInflightBytes)
	o.PartialUploads = cmp.Or(o.PartialUploads, DefaultPartialUploads)
	o.PartialBytes = cmp.Or(o.PartialBytes, DefaultPartialBytes)
	o.PartialTTL = cmp.Or(o.PartialTTL, DefaultPartialTTL)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.ActionCache == nil {
		o.ActionCache = actioncache.New(actioncache.Options{
			Store: o.Store, Namespace: o.Namespace, Logger: o.Logger, Registerer: o.Registerer,
		})
	}
	return o
}

// Server implements the services. Register it with one gRPC server that was
// made with its GRPCOptions.
type Server struct {
	opts    Options
	store   blobstore.Store
	log     *slog.Logger
	metrics *metrics

	// capabilities is the answer to every GetCapabilities, in wire form.
	capabilities []byte

	uploads *uploads
	// requests and replies bound the memory that messages take.
	requests, replies *budget

	// base is done when the server closes; uploads outlive their streams but
	// not this.
	base context.Context
	stop context.CancelFunc

	// Memory of calls, for reuse.
	findMissings, batchUpdates, batchReads, writes sync.Pool
}

// New returns a server. The caller must Close it after the gRPC server that it
// is registered with has stopped.
func New(o Options) *Server {
	o = o.withDefaults()
	m := newMetrics(o.Registerer)
	s := &Server{
		opts:     o,
		store:    o.Store,
		log:      o.Logger,
		metrics:  m,
		requests: newBudget(o.MaxInflightBytes, m.memoryRefusals),
		replies:  newBudget(o.MaxInflightBytes, m.memoryRefusals),
	}
	s.capabilities = s.marshalCapabilities()
	s.base, s.stop = context.WithCancel(context.Background())
	s.uploads = newUploads(o.PartialUploads, o.PartialBytes, o.PartialTTL, s.metrics)
	s.findMissings.New = func() any { return new(findMissingCall) }
	s.batchUpdates.New = func() any { return new(batchUpdateCall) }
	s.writes.New = func() any { return new(writeCall) }
	s.batchReads.New = func() any { return new(codec.BatchRead) }
	return s
}

// Register adds the services to a gRPC server.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	for _, d := range s.services() {
		r.RegisterService(d, s)
	}
}

// GiveUpUpload drops the upload that has waited longest to be resumed, and
// answers false if none waits. A store that has no other room left asks for it.
func (s *Server) GiveUpUpload() bool { return s.uploads.giveUp() }

// Close drops the uploads that wait to be resumed. It must be called when no
// RPC runs any more, and may be called twice.
func (s *Server) Close() {
	s.uploads.close()
	s.stop()
}
