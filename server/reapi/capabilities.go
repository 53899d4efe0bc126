package reapi

import (
	"context"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/bazelbuild/remote-apis/build/bazel/semver"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/server/reapi/codec"
)

// capabilitiesDesc describes the Capabilities service.
func (s *Server) capabilitiesDesc() *grpc.ServiceDesc {
	d := service(capabilitiesService, executionProto)
	d.Methods = []grpc.MethodDesc{s.unary(capabilitiesService, "GetCapabilities", s.getCapabilities)}
	return d
}

// getCapabilities implements GetCapabilities. The answer is the same for all
// instance names.
func (s *Server) getCapabilities(_ context.Context, req *codec.Request) (any, error) {
	m := new(repb.GetCapabilitiesRequest)
	if err := proto.Unmarshal(req.Bytes(), m); err != nil {
		return nil, malformed(err)
	}
	if err := checkInstance(m.GetInstanceName()); err != nil {
		return nil, err
	}
	return codec.NewResponse(s.capabilities), nil
}

// serverCapabilities tells what this server does, and nothing that it does
// not: a client has no other way to find out. A cache has no execution
// capabilities.
func (s *Server) serverCapabilities() *repb.ServerCapabilities {
	zstd := []repb.Compressor_Value{repb.Compressor_ZSTD}
	return &repb.ServerCapabilities{
		CacheCapabilities: &repb.CacheCapabilities{
			DigestFunctions:                 digestFunctions(),
			ActionCacheUpdateCapabilities:   &repb.ActionCacheUpdateCapabilities{UpdateEnabled: !s.opts.ReadOnly},
			MaxBatchTotalSizeBytes:          s.opts.MaxBatchBytes,
			SymlinkAbsolutePathStrategy:     repb.SymlinkAbsolutePathStrategy_ALLOWED,
			SupportedCompressors:            zstd,
			SupportedBatchUpdateCompressors: zstd,
			MaxCasBlobSizeBytes:             s.opts.MaxBlobSize,
		},
		DeprecatedApiVersion: &semver.SemVer{Major: 2},
		LowApiVersion:        &semver.SemVer{Major: 2},
		HighApiVersion:       &semver.SemVer{Major: 2, Minor: 12},
	}
}

func digestFunctions() []repb.DigestFunction_Value {
	var out []repb.DigestFunction_Value
	for _, f := range digest.Supported() {
		out = append(out, repb.DigestFunction_Value(f))
	}
	return out
}

// marshalCapabilities returns the capabilities in wire form. They are built
// here from fields that are valid text, so they marshal.
func (s *Server) marshalCapabilities() []byte {
	wire, err := proto.Marshal(s.serverCapabilities())
	if err != nil {
		panic(err)
	}
	return wire
}
