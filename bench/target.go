package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	bspb "google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// maxMessageBytes is the largest message a response may be.
const maxMessageBytes = 16 << 20

// target is a server as its clients see it.
type target struct {
	name    string
	httpURL string // of the HTTP listener, "" if there is none
	zstd    bool   // whether it offers zstd in streams
	conns   []*grpc.ClientConn
	http    *http.Client
}

// dialTarget opens connections to a server. Nothing is sent before hello.
func dialTarget(name, grpcAddress, httpAddress string, connections, callers int) (*target, error) {
	t := &target{name: name, http: newHTTPClient(callers)}
	if httpAddress != "" {
		t.httpURL = "http://" + httpAddress
	}
	for range connections {
		conn, err := grpc.NewClient(grpcAddress,
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessageBytes)))
		if err != nil {
			t.close()
			return nil, fmt.Errorf("server %s: address %q: %w", name, grpcAddress, err)
		}
		t.conns = append(t.conns, conn)
	}
	return t, nil
}

func newHTTPClient(callers int) *http.Client {
	return &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: callers,
		MaxConnsPerHost:     callers,
		DisableCompression:  true,
		ReadBufferSize:      64 << 10,
	}}
}

// hello asks every connection for the server's capabilities.
func (t *target) hello(ctx context.Context) error {
	for _, conn := range t.conns {
		caps, err := repb.NewCapabilitiesClient(conn).GetCapabilities(ctx, &repb.GetCapabilitiesRequest{})
		if err != nil {
			return err
		}
		t.zstd = slices.Contains(caps.GetCacheCapabilities().GetSupportedCompressors(), repb.Compressor_ZSTD)
	}
	return nil
}

func (t *target) close() {
	for _, conn := range t.conns {
		conn.Close()
	}
	t.http.CloseIdleConnections()
}

// caller is one of the clients that call a server at the same time. It makes
// one call after the other.
type caller struct {
	target *target
	bytes  bspb.ByteStreamClient
	cas    repb.ContentAddressableStorageClient
	ac     repb.ActionCacheClient
	// content holds the blob in the caller's hand, scratch is room for others.
	content *buffer
	scratch []byte
	// check asks for every answer to be compared with what it should be; the
	// warm-up sets it.
	check bool
}

// newCaller returns the target's caller number i.
func (t *target) newCaller(i int, content *buffer) *caller {
	conn := t.conns[i%len(t.conns)]
	return &caller{
		target:  t,
		bytes:   bspb.NewByteStreamClient(conn),
		cas:     repb.NewContentAddressableStorageClient(conn),
		ac:      repb.NewActionCacheClient(conn),
		content: content,
	}
}

// room returns scratch of n bytes.
func (c *caller) room(n int) []byte {
	if cap(c.scratch) < n {
		c.scratch = make([]byte, n)
	}
	return c.scratch[:n]
}
