package insight

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/larder-build/larder/internal/resourcename"
)

// metadataHeader carries a RequestMetadata (rule 31).
const metadataHeader = "build.bazel.remote.execution.v2.requestmetadata-bin"

// record is a line of the access log in the making.
type record struct {
	peer       string
	tool       string // name/version
	invocation string // tool_invocation_id
	instance   string
	digest     string // hash/size_bytes
	received   int64  // bytes of messages, or of the body
	sent       int64
}

// write logs the record. What is not known is left out.
func (r *record) write(ctx context.Context, log *slog.Logger, m *method, code string, took time.Duration, err error) {
	attrs := make([]slog.Attr, 0, 12)
	attrs = append(attrs, slog.String("listener", m.listener.name), slog.String("method", m.name), slog.String("code", code))
	for _, a := range []struct{ key, value string }{
		{"instance", r.instance}, {"digest", r.digest}, {"peer", r.peer}, {"tool", r.tool}, {"invocation", r.invocation},
	} {
		if a.value != "" {
			attrs = append(attrs, slog.String(a.key, a.value))
		}
	}
	attrs = append(attrs, slog.Int64("received", r.received), slog.Int64("sent", r.sent), slog.Duration("duration", took))
	if err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	log.LogAttrs(ctx, slog.LevelInfo, "access", attrs...)
}

// readContext notes who asks.
func (r *record) readContext(ctx context.Context) {
	if p, ok := peer.FromContext(ctx); ok {
		r.peer = p.Addr.String()
	}
	values := metadata.ValueFromIncomingContext(ctx, metadataHeader)
	if len(values) == 0 {
		return
	}
	var md repb.RequestMetadata
	if err := proto.Unmarshal([]byte(values[0]), &md); err != nil {
		return // the client's statement about itself, not worth failing for
	}
	r.invocation = limited(md.GetToolInvocationId())
	if t := md.GetToolDetails(); t != nil {
		r.tool = limited(strings.TrimSuffix(t.GetToolName()+"/"+t.GetToolVersion(), "/"))
	}
}

// wire is a message that was not parsed.
type wire interface{ Bytes() []byte }

// readMessage notes what a request is about: its first field, which is the
// instance name or, in ByteStream, the resource name, and an action's digest,
// which is the second.
func (r *record) readMessage(method string, req any) {
	w, ok := req.(wire)
	if !ok {
		r.readGenerated(req)
		return
	}
	first, second := firstFields(w.Bytes())
	service, _, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	switch service[strings.LastIndexByte(service, '.')+1:] {
	case "ByteStream":
		r.readResourceName(string(first))
	case "ActionCache":
		r.instance = limited(string(first))
		r.digest = digestText(second)
	case "ContentAddressableStorage", "Capabilities":
		r.instance = limited(string(first))
	}
}

// readGenerated notes the same of a parsed message.
func (r *record) readGenerated(req any) {
	if m, ok := req.(interface{ GetResourceName() string }); ok {
		r.readResourceName(m.GetResourceName())
	}
	if m, ok := req.(interface{ GetInstanceName() string }); ok {
		r.instance = limited(m.GetInstanceName())
	}
	if m, ok := req.(interface{ GetActionDigest() *repb.Digest }); ok && m.GetActionDigest() != nil {
		r.digest = fmt.Sprintf("%s/%d", limited(m.GetActionDigest().GetHash()), m.GetActionDigest().GetSizeBytes())
	}
}

// readResourceName notes a ByteStream name's parts, or all of it if it has
// none.
func (r *record) readResourceName(name string) {
	if w, err := resourcename.ParseWrite(name); err == nil {
		r.instance, r.digest = limited(w.Instance), w.Digest.String()
		return
	}
	if read, err := resourcename.ParseRead(name); err == nil {
		r.instance, r.digest = limited(read.Instance), read.Digest.String()
		return
	}
	r.digest = limited(name)
}

// limited keeps what a client wrote from filling the log.
func limited(s string) string {
	const most = 512
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}

// firstFields returns the content of the fields 1 and 2 of a message, of
// length-delimited type, and does not look beyond them.
func firstFields(b []byte) (first, second []byte) {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 || num > 2 || typ != protowire.BytesType {
			return first, second
		}
		v, m := protowire.ConsumeBytes(b[n:])
		if m < 0 {
			return first, second
		}
		if num == 1 {
			first = v
		} else {
			return first, v
		}
		b = b[n+m:]
	}
	return first, second
}

// digestText returns hash/size_bytes of a Digest message.
func digestText(b []byte) string {
	var d repb.Digest
	if len(b) == 0 || proto.Unmarshal(b, &d) != nil {
		return ""
	}
	return fmt.Sprintf("%s/%d", limited(d.GetHash()), d.GetSizeBytes())
}

// messageSize returns a message's size in bytes.
func messageSize(m any) int64 {
	switch m := m.(type) {
	case interface{ Len() int }:
		return int64(m.Len())
	case proto.Message:
		return int64(proto.Size(m))
	}
	return 0
}
