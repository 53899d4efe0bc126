package main

import (
	"slices"
	"strconv"
	"strings"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// resource is what a ByteStream resource name names.
type resource struct {
	digest *repb.Digest
	zstd   bool
}

// parseResource reads "[instance/][uploads/id/]blobs/hash/size[/metadata]", or
// with compressed-blobs/zstd in the place of blobs.
func parseResource(name string) (resource, error) {
	parts := strings.Split(name, "/")
	i := slices.IndexFunc(parts, func(s string) bool { return s == "blobs" || s == "compressed-blobs" })
	if i < 0 {
		return resource{}, status.Errorf(codes.InvalidArgument, "resource name %q has no blobs segment", name)
	}
	var r resource
	rest := parts[i+1:]
	if parts[i] == "compressed-blobs" {
		if len(rest) == 0 || rest[0] != "zstd" {
			return resource{}, status.Errorf(codes.InvalidArgument, "resource name %q: only zstd is offered", name)
		}
		r.zstd, rest = true, rest[1:]
	}
	if len(rest) < 2 {
		return resource{}, status.Errorf(codes.InvalidArgument, "resource name %q has no digest", name)
	}
	size, err := strconv.ParseInt(rest[1], 10, 64)
	if err != nil {
		return resource{}, status.Errorf(codes.InvalidArgument, "resource name %q: size %q is no number", name, rest[1])
	}
	r.digest = &repb.Digest{Hash: rest[0], SizeBytes: size}
	return r, checkDigest(r.digest)
}
