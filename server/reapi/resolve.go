package reapi

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/internal/resourcename"
	"github.com/larder-build/larder/server/reapi/codec"
)

// malformed returns INVALID_ARGUMENT for a message that could not be decoded.
func malformed(err error) error { return invalid("request: %v", err) }

// checkInstance refuses an instance name that the protocol does not allow
// (rule 6).
func checkInstance(name string) error {
	if name == "" {
		return nil
	}
	if err := resourcename.CheckInstance(name); err != nil {
		return invalidField("instance_name", err)
	}
	return nil
}

// checkWritable refuses a write where the server only reads.
func (s *Server) checkWritable() error {
	if s.opts.ReadOnly {
		return status.Error(codes.PermissionDenied, "this server is read-only: it takes no uploads")
	}
	return nil
}

// resolveFunction returns the digest function of a request: the one its
// digest_function names, else the one that the length of a hash implies (rule
// 8).
func resolveFunction(named int32, hexLen int) (digest.Function, error) {
	fn := digest.Function(named)
	if int32(fn) != named {
		return digest.Unknown, invalid("digest_function: %d is not a digest function", named)
	}
	fn, err := digest.Resolve(fn, hexLen)
	if err != nil {
		return digest.Unknown, invalidField("digest_function", err)
	}
	return fn, nil
}

// batchFunction resolves the digest function of a batch, whose blobs fail
// alone (rule 19). Where none is named, the first hash whose length implies one
// decides; where none does, the answer is digest.Unknown and every digest is
// wrong.
func batchFunction(named int32, hashes func(yield func([]byte) bool)) (digest.Function, error) {
	if named != int32(digest.Unknown) {
		return resolveFunction(named, 0)
	}
	for hash := range hashes {
		if fn, err := digest.Infer(len(hash)); err == nil {
			return fn, nil
		}
	}
	return digest.Unknown, nil
}

// parseDigest checks one digest of a batch.
func parseDigest(fn digest.Function, d *codec.Digest) (digest.Digest, error) {
	if fn == digest.Unknown {
		if _, err := resolveFunction(0, len(d.Hash)); err != nil {
			return digest.Digest{}, err
		}
	}
	parsed, err := digest.Parse(fn, d.Hash, d.Size)
	if err != nil {
		return digest.Digest{}, invalid("%v", err)
	}
	return parsed, nil
}

// checkSize refuses an upload of a blob over the limit (rule 27).
func (s *Server) checkSize(d digest.Digest) error {
	if limit := s.opts.MaxBlobSize; limit > 0 && d.Size() > limit {
		return invalid("blob %v is larger than max_cas_blob_size_bytes, %d", d, limit)
	}
	return nil
}

// nameHeader may repeat a ByteStream request's resource name, for routers.
const nameHeader = "build.bazel.remote.execution.v2.resource-name"

// checkNameHeader refuses a request whose header names another resource than
// it does (rule 16).
func checkNameHeader(ctx context.Context, name []byte) error {
	for _, header := range metadata.ValueFromIncomingContext(ctx, nameHeader) {
		if header != string(name) {
			return invalid("header %s is %.400q, but resource_name is %.400q", nameHeader, header, name)
		}
	}
	return nil
}
