package reapi

import (
	"context"

	"google.golang.org/grpc"

	"github.com/larder-build/larder/internal/resourcename"
	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/reapi/codec"
)

// byteStreamDesc describes the ByteStream service. Reads are in read.go,
// writes in write.go, and what is left of a broken write in uploads.go.
func (s *Server) byteStreamDesc() *grpc.ServiceDesc {
	d := service(byteStreamService, byteStreamProto)
	d.Methods = []grpc.MethodDesc{s.unary(byteStreamService, "QueryWriteStatus", s.queryWriteStatus)}
	d.Streams = []grpc.StreamDesc{
		s.serverStream("Read", s.read),
		{StreamName: "Write", ClientStreams: true, Handler: s.write},
	}
	return d
}

// queryWriteStatus implements ByteStream.QueryWriteStatus (rule 17): where a
// broken upload goes on. An upload that is not known goes on at 0, also one
// that is compressed.
func (s *Server) queryWriteStatus(ctx context.Context, req *codec.Request) (any, error) {
	var m codec.QueryWriteStatus
	if err := m.Decode(req); err != nil {
		return nil, malformed(err)
	}
	name, err := resourcename.ParseWrite(m.Name)
	if err != nil {
		return nil, invalidField("resource_name", err)
	}
	if err := checkNameHeader(ctx, m.Name); err != nil {
		return nil, err
	}
	key := s.opts.Namespace.CAS(name.Instance, name.Digest)
	there, err := s.exists(ctx, []blobstore.Key{key})
	if err != nil {
		return nil, statusErr(err)
	}
	if there {
		return codec.QueryWriteStatusResponse(name.Digest.Size(), true), nil
	}
	committed := s.uploads.committed(uploadKey{id: name.UploadID, instance: name.Instance, blob: key})
	if name.Encoding != resourcename.Identity {
		committed = 0
	}
	return codec.QueryWriteStatusResponse(committed, false), nil
}
