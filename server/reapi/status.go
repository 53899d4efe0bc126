package reapi

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/encoding"
	"github.com/larder-build/larder/server/reapi/codec"
)

// retryDelay is what RetryInfo asks of clients when a failure is expected to
// pass (rule 32).
const retryDelay = time.Second

// invalid returns INVALID_ARGUMENT: the request is wrong, and wrong again if
// repeated.
func invalid(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, format, args...)
}

// invalidField returns INVALID_ARGUMENT for an error in the named field.
func invalidField(field string, err error) error { return invalid("%s: %v", field, err) }

// retryLater returns a status with RetryInfo.
func retryLater(code codes.Code, format string, args ...any) error {
	return retryable(code, fmt.Sprintf(format, args...)).Err()
}

func retryable(code codes.Code, message string) *status.Status {
	st := status.New(code, message)
	detailed, err := st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(retryDelay)})
	if err != nil {
		return st
	}
	return detailed
}

// statusErr returns the error of a store, or any error below a handler, as a
// gRPC status error. It is the one place where blobstore's errors become
// codes. An unknown error is never NOT_FOUND (DESIGN: a failure is not a
// miss), and a status passes as it is.
func statusErr(err error) error {
	if err == nil {
		return nil
	}
	return toStatus(err).Err()
}

func toStatus(err error) *status.Status {
	if st, ok := status.FromError(err); ok {
		return st
	}
	msg := err.Error()
	switch {
	case errors.Is(err, blobstore.ErrMismatch), errors.Is(err, blobstore.ErrTooLarge):
		return status.New(codes.InvalidArgument, msg) // rules 4 and 27
	case errors.Is(err, encoding.ErrOffset):
		return status.New(codes.OutOfRange, msg) // rule 13
	case errors.Is(err, blobstore.ErrCorrupt):
		return status.New(codes.DataLoss, msg)
	case errors.Is(err, blobstore.ErrNoSpace):
		return retryable(codes.ResourceExhausted, msg)
	case errors.Is(err, blobstore.ErrUnavailable):
		return retryable(codes.Unavailable, msg)
	case errors.Is(err, context.Canceled):
		return status.New(codes.Canceled, msg)
	case errors.Is(err, context.DeadlineExceeded):
		return status.New(codes.DeadlineExceeded, msg)
	case errors.Is(err, blobstore.ErrNotFound):
		return status.New(codes.NotFound, msg)
	}
	return status.New(codes.Internal, msg)
}

// statusOf is statusErr for an error about a blob or an action, which a store's
// "not found" does not name.
func statusOf(what fmt.Stringer, err error) error {
	if errors.Is(err, blobstore.ErrNotFound) {
		err = fmt.Errorf("%v: %w", what, err)
	}
	return statusErr(err)
}

// codecStatus is statusErr for a blob in a batch, which has a status of its
// own.
func codecStatus(err error) codec.Status {
	st := toStatus(err).Proto()
	s := codec.Status{Code: st.GetCode(), Message: strings.ToValidUTF8(st.GetMessage(), "?")}
	for _, d := range st.GetDetails() {
		if wire, err := proto.Marshal(d); err == nil {
			s.Details = append(s.Details, wire)
		}
	}
	return s
}

// uploadStatus is codecStatus for a blob that the store did not take.
func (s *Server) uploadStatus(err error) codec.Status {
	s.countMismatch(err)
	return codecStatus(err)
}

func (s *Server) countMismatch(err error) {
	if errors.Is(err, blobstore.ErrMismatch) {
		s.metrics.mismatches.Inc()
	}
}
