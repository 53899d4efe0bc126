package httpcache

import (
	"log/slog"
	"net/http"
	"time"
)

const (
	// headerTimeout is how long a request's headers may take to arrive.
	headerTimeout = 30 * time.Second
	// idleTimeout is how long a connection may wait for its next request. Build
	// tools keep theirs for a build; closing one that is about to be used costs
	// the client an upload.
	idleTimeout = 10 * time.Minute
	// maxHeaderBytes is the most bytes that a request's headers may have.
	maxHeaderBytes = 64 << 10
)

// NewServer returns a server for the cache's handler and the pages beside it.
// It has no limit on a whole request, which may be many gigabytes: the Handler
// cuts off those that stall. Logger may be nil.
func NewServer(h http.Handler, logger *slog.Logger) *http.Server {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}
