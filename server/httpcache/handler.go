// Package httpcache serves the cache over plain HTTP, as Bazel and compiler
// caches speak it:
//
//	GET, HEAD, PUT /{instance/}cas/{function/}{hash}
//	GET, HEAD, PUT /{instance/}ac/{function/}{hash}
//
// The blobs are those of the gRPC services. A path need not name the digest
// function: Bazel never does, so that a BLAKE3 hash looks like a SHA-256 hash.
// Then every function with hashes of that length is looked up, and an upload is
// stored under the one that its content proves.
//
// What a client may send and ask for:
//   - zstd, by Content-Encoding (X-Digest-SizeBytes then tells the size of the
//     content; without it the stream is decoded once more to learn it) and by
//     Accept-Encoding;
//   - one range of bytes of a CAS blob, which is served as identity, with
//     If-Range and If-None-Match;
//   - an action result as JSON, by Content-Type and Accept;
//   - a body of unknown length, which is spooled to a temporary file if it is
//     not small.
//
// The empty blob is always there (rule 1), uploads are verified (rule 4), and
// only a blob that the store certainly lacks is 404.
package httpcache

import (
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/server/actioncache"
	"github.com/larder-build/larder/server/blobstore"
)

const (
	// DefaultMaxSpoolBytes bounds the temporary files of all uploads together
	// where the options do not: 2 GiB.
	DefaultMaxSpoolBytes = 2 << 30
	// DefaultStallTimeout is how long a client may neither send nor take a byte
	// where the options do not tell.
	DefaultStallTimeout = 60 * time.Second
)

// Options of a Handler. Only Store must be set.
type Options struct {
	Store blobstore.Store
	// ActionCache keeps the action results. Nil is one over Store.
	ActionCache *actioncache.Cache
	Namespace   blobstore.Namespace
	// MaxBlobSize is the size in bytes, uncompressed, of the largest blob taken.
	// 0 leaves it to the store.
	MaxBlobSize int64
	// SkipACValidation takes and gives action results as opaque bytes.
	SkipACValidation bool
	// ReadOnly refuses uploads.
	ReadOnly bool
	// SpoolDir is the folder for temporary files, best on the store's file
	// system. Empty is the system's.
	SpoolDir string
	// MaxSpoolBytes is the most bytes that all temporary files may have at a
	// time; DefaultMaxSpoolBytes if it is 0.
	MaxSpoolBytes int64
	// StallTimeout cuts a request off when its body, or its response's, has not
	// moved for so long; DefaultStallTimeout if it is 0. A limit on whole
	// requests, which may be of many gigabytes, is the http.Server's to have.
	StallTimeout time.Duration
	Logger       *slog.Logger
}

// Handler serves the cache. Make it with New.
type Handler struct {
	opts    Options
	store   blobstore.Store
	actions *actioncache.Cache
	log     *slog.Logger
	spools  spools
	buffers buffers
	// guess is the digest function that the last upload which named none was
	// proven to be of: the likeliest for the next.
	guess atomic.Uint32
}

// New returns the handler of all paths of the cache.
func New(o Options) *Handler {
	if o.ActionCache == nil {
		o.ActionCache = actioncache.New(actioncache.Options{Store: o.Store, Namespace: o.Namespace})
	}
	if o.MaxSpoolBytes <= 0 {
		o.MaxSpoolBytes = DefaultMaxSpoolBytes
	}
	if o.StallTimeout <= 0 {
		o.StallTimeout = DefaultStallTimeout
	}
	h := &Handler{opts: o, store: o.Store, actions: o.ActionCache, log: o.Logger}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	h.spools.dir, h.spools.max = o.SpoolDir, o.MaxSpoolBytes
	return h
}

// ServeHTTP serves one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := h.serve(w, r); err != nil {
		h.fail(w, r, err)
	}
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request) error {
	t, err := parsePath(r.URL.Path)
	if err != nil {
		return err
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return h.get(w, r, t)
	case http.MethodPut:
		return h.put(w, r, t)
	}
	w.Header().Set("Allow", strings.Join([]string{http.MethodGet, http.MethodHead, http.MethodPut}, ", "))
	return refuse(http.StatusMethodNotAllowed, "method %q: want GET, HEAD or PUT", r.Method)
}

// key returns the key of what a request names, if its hash is that digest.
func (h *Handler) key(t target, d digest.Digest) blobstore.Key {
	if t.kind == blobstore.AC {
		return h.opts.Namespace.AC(t.instance, d)
	}
	return h.opts.Namespace.CAS(t.instance, d)
}

// likely returns the digests that a hash may stand for with the likeliest
// first.
func (h *Handler) likely(ds []digest.Digest) []digest.Digest {
	guess := digest.Function(h.guess.Load())
	for i, d := range ds {
		if d.Function() == guess && i > 0 {
			ds[0], ds[i] = ds[i], ds[0]
		}
	}
	return ds
}

// learn remembers which function a hash was proven to be of.
func (h *Handler) learn(fn digest.Function) {
	if h.guess.Load() != uint32(fn) {
		h.guess.Store(uint32(fn))
	}
}
