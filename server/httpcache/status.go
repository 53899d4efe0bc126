package httpcache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/larder-build/larder/server/actioncache"
	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/encoding"
)

// retryAfterSeconds is how long a client is told to wait where a retry may
// help.
const retryAfterSeconds = 1

// requestError is a refusal that is decided here, with its status code.
type requestError struct {
	code int
	err  error
}

func (e *requestError) Error() string { return e.err.Error() }
func (e *requestError) Unwrap() error { return e.err }

func refuse(code int, format string, args ...any) error {
	return &requestError{code, fmt.Errorf(format, args...)}
}

func badRequest(format string, args ...any) error {
	return refuse(http.StatusBadRequest, format, args...)
}

// statusOf translates an error into a status code. Only a store's certainty
// that it lacks the blob is 404: anything else that goes wrong is no miss.
func statusOf(err error) int {
	var request *requestError
	var invalid *actioncache.InvalidError
	switch {
	case errors.As(err, &request):
		return request.code
	case errors.As(err, &invalid), errors.Is(err, blobstore.ErrMismatch):
		return http.StatusBadRequest
	case errors.Is(err, blobstore.ErrCorrupt):
		return http.StatusInternalServerError
	case errors.Is(err, blobstore.ErrUnavailable):
		return http.StatusServiceUnavailable
	case errors.Is(err, blobstore.ErrNoSpace):
		return http.StatusInsufficientStorage
	case errors.Is(err, blobstore.ErrTooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, encoding.ErrOffset):
		return http.StatusRequestedRangeNotSatisfiable
	case errors.Is(err, blobstore.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// fail answers a request with an error. Nothing of the response may have been
// written.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	code := statusOf(err)
	if code >= http.StatusInternalServerError && r.Context().Err() == nil {
		h.log.LogAttrs(r.Context(), slog.LevelError, "request failed", slog.String("method", r.Method),
			slog.String("path", r.URL.Path), slog.Int("code", code), slog.Any("error", err))
	}
	if code == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfterSeconds))
	}
	message := err.Error()
	if errors.As(err, new(*actioncache.InvalidError)) {
		message += "\nhint: /ac/ takes action results of the Remote Execution API only; --disable_http_ac_validation lets it take anything, as compiler caches need"
	}
	http.Error(w, message, code)
}

// abort ends a response that has begun and cannot be completed: the client
// sees the connection break instead of content that ends too early.
func (h *Handler) abort(r *http.Request, err error) {
	if r.Context().Err() == nil {
		h.log.LogAttrs(r.Context(), slog.LevelError, "response cut off", slog.String("method", r.Method),
			slog.String("path", r.URL.Path), slog.Any("error", err))
	}
	panic(http.ErrAbortHandler)
}
