package protos

import (
	"bytes"
	"os"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

func TestProtosetIsCurrent(t *testing.T) {
	t.Parallel()
	want, err := Protoset()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(ProtosetFile)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what the linked descriptors say (%v): run go generate ./protos", ProtosetFile, err)
	}
}

// TestProtosetIsComplete checks that a tool can use the file alone.
func TestProtosetIsComplete(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(ProtosetFile)
	if err != nil {
		t.Fatal(err)
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(data, &set); err != nil {
		t.Fatal(err)
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []protoreflect.FullName{
		"build.bazel.remote.execution.v2.ActionCache.GetActionResult",
		"build.bazel.remote.execution.v2.ContentAddressableStorage.GetTree",
		"build.bazel.remote.execution.v2.Capabilities.GetCapabilities",
		"google.bytestream.ByteStream.QueryWriteStatus",
		"grpc.health.v1.Health.Check",
		"larder.admin.v1.Admin.GetStoreStatus",
		"google.rpc.RetryInfo",
	} {
		if _, err := files.FindDescriptorByName(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
