package reapi

import (
	"context"

	// Nothing here needs the generated messages, but reflection, and so grpcurl,
	// the descriptor that comes with them.
	_ "google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc"

	"github.com/larder-build/larder/server/reapi/codec"
)

// services lists what Register registers. Each service's file has the function
// that describes it.
func (s *Server) services() []*grpc.ServiceDesc {
	return []*grpc.ServiceDesc{
		s.casDesc(),
		s.actionCacheDesc(),
		s.byteStreamDesc(),
		s.capabilitiesDesc(),
	}
}

// Names of the services and of the files that describe them, which reflection
// looks up.
const (
	casService          = "build.bazel.remote.execution.v2.ContentAddressableStorage"
	actionCacheService  = "build.bazel.remote.execution.v2.ActionCache"
	byteStreamService   = "google.bytestream.ByteStream"
	capabilitiesService = "build.bazel.remote.execution.v2.Capabilities"

	byteStreamProto = "google/bytestream/bytestream.proto"
	executionProto  = "build/bazel/remote/execution/v2/remote_execution.proto"
)

// service returns the description of a service without methods. Its handlers
// are bound to their Server, so any implementation will do.
func service(name, proto string) *grpc.ServiceDesc {
	return &grpc.ServiceDesc{ServiceName: name, HandlerType: (*any)(nil), Metadata: proto}
}

// handlerFunc answers a raw request with a *codec.Response or a generated
// message. The request is freed when it returns.
type handlerFunc func(context.Context, *codec.Request) (any, error)

// unary describes a method that takes its request raw.
func (s *Server) unary(service, method string, handle handlerFunc) grpc.MethodDesc {
	return s.unaryWithin(nil, 0, service, method, handle)
}

// unaryWithin describes a method whose requests may be large, up to about most
// bytes: none is received before the budget has room for it.
func (s *Server) unaryWithin(b *budget, most int64, service, method string, handle handlerFunc) grpc.MethodDesc {
	info := &grpc.UnaryServerInfo{Server: s, FullMethod: "/" + service + "/" + method}
	handler := func(ctx context.Context, req any) (any, error) { return handle(ctx, req.(*codec.Request)) }
	return grpc.MethodDesc{
		MethodName: method,
		Handler: func(_ any, ctx context.Context, decode func(any) error, i grpc.UnaryServerInterceptor) (any, error) {
			req := new(codec.Request)
			taken, err := b.receive(ctx, most, req, decode)
			if err != nil {
				return nil, err
			}
			defer b.give(taken)
			defer req.Free()
			if i == nil {
				return handle(ctx, req)
			}
			return i(ctx, req, info, handler)
		},
	}
}

// serverStream describes a method that answers one raw request with any number
// of messages, *codec.Response or generated, given to SendMsg.
func (s *Server) serverStream(method string, handle func(*codec.Request, grpc.ServerStream) error) grpc.StreamDesc {
	return grpc.StreamDesc{
		StreamName:    method,
		ServerStreams: true,
		Handler: func(_ any, stream grpc.ServerStream) error {
			req := new(codec.Request)
			if err := stream.RecvMsg(req); err != nil {
				return err
			}
			defer req.Free()
			return handle(req, stream)
		},
	}
}
