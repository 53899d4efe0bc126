// Package actioncache keeps the rules of action results between the listeners
// and a blob store: what a client may store as one (rule 24), that an answered
// one is complete (rule 22), and what is inlined in it (rule 23).
//
// An action result stays the bytes that the client sent; it is checked by
// walking them. So fields that this server does not know, node properties,
// symlinks and the deprecated fields of version 2.0 (rule 26) come back byte
// for byte.
//
// # Order of uploads
//
// Update does not demand that the action, its command and its outputs are in
// the CAS already, although a client must upload them first (rule 24 allows,
// not wants, FAILED_PRECONDITION). Get does: a result whose outputs are not all
// there is a miss. So a client that uploads in another order loses nothing, and
// nobody is ever given a result that cannot be used.
package actioncache

import (
	"fmt"
	"log/slog"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/internal/merkle"
	"github.com/larder-build/larder/server/blobstore"
)

const (
	// MaxResultBytes is the size of the largest action result that is stored,
	// after inlined content was taken out of it: a client whose gRPC library
	// has its usual limit can receive no larger message.
	MaxResultBytes = 4 << 20
	// DefaultMaxTreeBytes is the total size in bytes of the Tree and Directory
	// messages of one action result where the options do not tell it: room for
	// half a million output files below output directories.
	DefaultMaxTreeBytes = 64 << 20
	// DefaultInlineBytes is the size of the largest answer with inlined content
	// where the request does not tell it (rule 23).
	DefaultInlineBytes = MaxResultBytes - 64<<10
	// UnknownWorker is the execution_metadata.worker that is set in an action
	// result that would otherwise be no bytes at all (rule 25).
	UnknownWorker = "unknown"
)

// Options of a Cache. Only Store must be set.
type Options struct {
	Store     blobstore.Store
	Namespace blobstore.Namespace
	// MaxTreeBytes is the most bytes of Tree and Directory messages that one
	// action result may refer to; DefaultMaxTreeBytes if it is 0. A result that
	// refers to more is refused, for it cannot be checked for completeness. It
	// also bounds the memory that large directories take, over all requests.
	MaxTreeBytes int64
	// SkipCompleteness answers results without looking for the blobs that they
	// refer to.
	SkipCompleteness bool

	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Cache answers and takes action results. Its methods may be called at the
// same time.
type Cache struct {
	opts    Options
	store   blobstore.Store
	log     *slog.Logger
	metrics metrics
	works   sync.Pool // of *work
	// large has the bytes that large directories may occupy at a time.
	large *semaphore.Weighted
}

// New returns a Cache over a store.
func New(o Options) *Cache {
	if o.MaxTreeBytes <= 0 {
		o.MaxTreeBytes = DefaultMaxTreeBytes
	}
	c := &Cache{opts: o, store: o.Store, log: o.Logger, metrics: newMetrics(o.Registerer)}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.large = semaphore.NewWeighted(o.MaxTreeBytes)
	c.works.New = func() any { return new(work) }
	return c
}

// InvalidError tells what is wrong with an action result that a client wants
// to store (rule 24: INVALID_ARGUMENT).
type InvalidError struct {
	// Field is the path to the field, such as "output_files[3].path".
	Field string
	// Value is the offending value, if it can be shown.
	Value string
	// Reason says what is wrong: "must be relative".
	Reason string
}

func (e *InvalidError) Error() string {
	if e.Field == "" {
		return "action_result: " + e.Reason
	}
	return "action_result: " + (&merkle.Error{Field: e.Field, Value: e.Value, Reason: e.Reason}).Error()
}

func invalid(field, format string, args ...any) error {
	return &InvalidError{Field: field, Reason: fmt.Sprintf(format, args...)}
}

// work is the scratch memory of one request.
type work struct {
	cache    *Cache
	instance string
	fn       digest.Function
	result   merkle.ActionResult
	refs     references
}

// maxKept is the number of outputs from which on scratch memory is left to the
// garbage collector.
const maxKept = 1024

func (c *Cache) begin(instance string, fn digest.Function, complete bool) *work {
	w := c.works.Get().(*work)
	w.cache, w.instance, w.fn = c, instance, fn
	w.refs.begin(w, complete)
	return w
}

func (w *work) end() {
	w.refs.end()
	if len(w.result.Files)+len(w.result.Directories)+len(w.result.Symlinks) > maxKept {
		w.result = merkle.ActionResult{}
	}
	w.cache.works.Put(w)
}

func (w *work) casKey(d digest.Digest) blobstore.Key {
	return w.cache.opts.Namespace.CAS(w.instance, d)
}
