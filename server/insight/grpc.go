package insight

import (
	"context"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// GRPCOptions makes a gRPC server tell of its requests.
func (i *Insight) GRPCOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(i.unary),
		grpc.ChainStreamInterceptor(i.stream),
	}
}

func (i *Insight) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	m := i.grpcMethod(info.FullMethod)
	start := m.begin()
	var rec record
	if i.log != nil {
		rec.readContext(ctx)
		rec.readMessage(info.FullMethod, req) // now: the handler frees it
		rec.received = messageSize(req)
	}
	resp, err := handle(ctx, req)
	code := codeOf(err)
	took := i.end(m, start, int(code))
	if i.log != nil {
		if err == nil {
			rec.sent = messageSize(resp)
		}
		rec.write(ctx, i.log, m, code.String(), took, err)
	}
	return resp, err
}

func (i *Insight) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	m := i.grpcMethod(info.FullMethod)
	start := m.begin()
	var watched *watchedStream
	if i.log != nil {
		watched = &watchedStream{ServerStream: ss, method: info.FullMethod}
		watched.rec.readContext(ss.Context())
		ss = watched
	}
	err := handle(srv, ss)
	code := codeOf(err)
	took := i.end(m, start, int(code))
	if watched != nil {
		watched.rec.write(ss.Context(), i.log, m, code.String(), took, err)
	}
	return err
}

func (i *Insight) grpcMethod(full string) *method {
	probe := strings.HasPrefix(full, "/grpc.") || strings.HasPrefix(full, "/larder.admin.")
	return i.method(&i.grpc, methodKey{name: full}, probe)
}

// codeOf returns the code that gRPC answers a handler's error with.
func codeOf(err error) codes.Code {
	if err == nil {
		return codes.OK
	}
	if s, ok := status.FromError(err); ok {
		return s.Code()
	}
	return status.FromContextError(err).Code()
}

// watchedStream notes for the access log what goes through a stream.
type watchedStream struct {
	grpc.ServerStream
	method string
	rec    record
	read   bool
}

// RecvMsg receives the next message, and reads from the first what the request
// is about.
func (s *watchedStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	s.rec.received += messageSize(m)
	if !s.read {
		s.read = true
		s.rec.readMessage(s.method, m)
	}
	return nil
}

// SendMsg sends a message. A raw message has no size any more once it is sent.
func (s *watchedStream) SendMsg(m any) error {
	size := messageSize(m)
	err := s.ServerStream.SendMsg(m)
	if err == nil {
		s.rec.sent += size
	}
	return err
}
