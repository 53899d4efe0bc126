package reapi_test

import (
	"fmt"
	"io"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/larder-build/larder/server/reapi"
)

// TestNothingUnsetPanics sends every message of every RPC with nothing set,
// with everything set, and with each field at any depth unset or, if it is a
// message, empty. None may make the server panic, fail inside, or hang.
func TestNothingUnsetPanics(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	for _, name := range []protoreflect.FullName{
		"build.bazel.remote.execution.v2.ContentAddressableStorage",
		"build.bazel.remote.execution.v2.ActionCache",
		"build.bazel.remote.execution.v2.Capabilities",
		"google.bytestream.ByteStream",
	} {
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
		if err != nil {
			t.Fatal(err)
		}
		methods := d.(protoreflect.ServiceDescriptor).Methods()
		for i := range methods.Len() {
			h.sendVariants(t, methods.Get(i))
		}
	}
	if n := h.metric("larder_reapi_panics_total"); n != 0 {
		t.Errorf("%v panics", n)
	}
}

func (h *harness) sendVariants(t *testing.T, m protoreflect.MethodDescriptor) {
	variants := variants(m.Input())
	if len(variants) < 2+m.Input().Fields().Len() {
		t.Fatalf("%v: only %d variants", m.FullName(), len(variants))
	}
	for what, msg := range variants {
		switch err := h.call(t, m, msg); status.Code(err) {
		case codes.Internal, codes.Unknown, codes.DeadlineExceeded, codes.Unavailable, codes.DataLoss, codes.ResourceExhausted:
			t.Errorf("%v with %s: %v", m.FullName(), what, err)
		}
	}
}

// call sends one message and reads all answers.
func (h *harness) call(t *testing.T, m protoreflect.MethodDescriptor, msg proto.Message) error {
	t.Helper()
	desc := &grpc.StreamDesc{ClientStreams: m.IsStreamingClient(), ServerStreams: m.IsStreamingServer()}
	stream, err := h.conn.NewStream(h.ctx(), desc, fmt.Sprintf("/%s/%s", m.Parent().FullName(), m.Name()))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.SendMsg(msg); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	for {
		if err := stream.RecvMsg(dynamicpb.NewMessage(m.Output())); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// variants returns the messages to send, by what is odd about them.
func variants(d protoreflect.MessageDescriptor) map[string]proto.Message {
	out := map[string]proto.Message{"nothing set": dynamicpb.NewMessage(d), "everything set": full(d)}
	addVariants(out, d, "", func() (root, part protoreflect.Message) {
		m := full(d)
		return m, m
	})
	return out
}

// addVariants adds those of a part of a message, which build makes anew.
func addVariants(out map[string]proto.Message, d protoreflect.MessageDescriptor, path string, build func() (root, part protoreflect.Message)) {
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		name := path + "." + string(f.Name())
		root, part := build()
		part.Clear(f)
		out[name+" unset"] = root.Interface()
		if f.Message() == nil || f.IsMap() {
			continue
		}
		root, part = build()
		if f.IsList() {
			l := part.NewField(f).List()
			l.Append(protoreflect.ValueOfMessage(dynamicpb.NewMessage(f.Message())))
			part.Set(f, protoreflect.ValueOfList(l))
		} else {
			part.Set(f, protoreflect.ValueOfMessage(dynamicpb.NewMessage(f.Message())))
		}
		out[name+" empty"] = root.Interface()
		addVariants(out, f.Message(), name, func() (protoreflect.Message, protoreflect.Message) {
			root, part := build()
			if f.IsList() {
				return root, part.Get(f).List().Get(0).Message()
			}
			return root, part.Get(f).Message()
		})
	}
}

// full returns a message with every field set, to values that are right where
// they can be.
func full(d protoreflect.MessageDescriptor) *dynamicpb.Message {
	m := dynamicpb.NewMessage(d)
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		switch {
		case f.IsMap():
		case f.IsList():
			l := m.NewField(f).List()
			l.Append(value(f))
			m.Set(f, protoreflect.ValueOfList(l))
		default:
			m.Set(f, value(f))
		}
	}
	return m
}

func value(f protoreflect.FieldDescriptor) protoreflect.Value {
	d := sha256Of([]byte("hello"))
	switch f.Kind() {
	case protoreflect.MessageKind:
		return protoreflect.ValueOfMessage(full(f.Message()))
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(map[protoreflect.Name]string{
			"hash": d.Hash, "resource_name": writeName(d), "instance_name": "main", "path": "a/b",
		}[f.Name()])
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte("hello"))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(1)
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(5)
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(5)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(5)
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(5)
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(5)
	}
	return f.Default()
}
