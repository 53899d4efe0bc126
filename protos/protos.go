// Package protos holds the project's own protocol buffer files with the Go
// code that is generated from them, and reapi.protoset: the descriptors of all
// services that the server has, for tools such as grpcurl -protoset.
//
// After a change to a .proto file, or a newer version of the protocols, run
// go generate ./protos. A test fails until then.
package protos

import (
	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	bspb "google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	adminpb "github.com/larder-build/larder/protos/larder/admin/v1"
)

//go:generate go run ./generate
//go:generate go run ./protoset

// ProtosetFile is the name of the file with what Protoset returns.
const ProtosetFile = "reapi.protoset"

// Protoset returns the serialized FileDescriptorSet of the server's services,
// and of the details its errors have, with all that they import, each file
// after those that it imports.
func Protoset() ([]byte, error) {
	var set descriptorpb.FileDescriptorSet
	added := map[string]bool{}
	for _, f := range []protoreflect.FileDescriptor{
		repb.File_build_bazel_remote_execution_v2_remote_execution_proto,
		bspb.File_google_bytestream_bytestream_proto,
		healthpb.File_grpc_health_v1_health_proto,
		errdetails.File_google_rpc_error_details_proto,
		adminpb.File_larder_admin_v1_admin_proto,
	} {
		add(&set, added, f)
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(&set)
}

func add(set *descriptorpb.FileDescriptorSet, added map[string]bool, f protoreflect.FileDescriptor) {
	if added[f.Path()] {
		return
	}
	added[f.Path()] = true
	for i := range f.Imports().Len() {
		add(set, added, f.Imports().Get(i).FileDescriptor)
	}
	set.File = append(set.File, protodesc.ToFileDescriptorProto(f))
}
