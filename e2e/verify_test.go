package e2e

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// findMissingLen is how many digests one FindMissingBlobs asks for.
const findMissingLen = 1000

// requireAll reads back what was acknowledged, and compares it.
func (c *client) requireAll(t *testing.T, blobs []blob, results []result) {
	t.Helper()
	for some := range slices.Chunk(blobs, findMissingLen) {
		var digests []*repb.Digest
		for _, b := range some {
			digests = append(digests, b.digest())
		}
		missing, err := c.missing(t.Context(), digests...)
		if err != nil || len(missing) > 0 {
			t.Fatalf("of %d acknowledged blobs %d are missing (error %v): %v", len(some), len(missing), err, missing)
		}
	}
	for i, b := range blobs {
		got, err := c.readSomehow(t.Context(), i, b)
		if err != nil {
			t.Fatalf("acknowledged blob %v: %v", b, err)
		}
		if !bytes.Equal(got, b.data()) {
			t.Fatalf("acknowledged blob %v: wrong bytes (%d of them)", b, len(got))
		}
	}
	for _, r := range results {
		c.requireResult(t, r)
	}
}

func (c *client) requireResult(t *testing.T, r result) {
	t.Helper()
	got, err := c.ac.GetActionResult(t.Context(), &repb.GetActionResultRequest{ActionDigest: r.action})
	if err != nil {
		t.Fatalf("acknowledged action result %s: %v", r.action.GetHash(), err)
	}
	if len(got.GetOutputFiles()) != 1 || got.GetOutputFiles()[0].GetDigest().GetHash() != r.output.digest().GetHash() || string(got.GetStdoutRaw()) != r.stdout && got.GetStdoutDigest() == nil {
		t.Fatalf("acknowledged action result %s came back as %v", r.action.GetHash(), got)
	}
}

// requireRightOrAbsent reads blobs that were not acknowledged: each may be
// there or not, but never with other bytes.
func (c *client) requireRightOrAbsent(t *testing.T, blobs []blob) {
	t.Helper()
	for i, b := range blobs {
		got, err := c.readSomehow(t.Context(), i, b)
		if isAbsent(err) {
			continue
		}
		if err != nil {
			t.Fatalf("blob %v, whose upload was cut off: %v", b, err)
		}
		if !bytes.Equal(got, b.data()) {
			t.Fatalf("blob %v, whose upload was cut off: wrong bytes (%d of them)", b, len(got))
		}
	}
}

// maxBatchRead is the largest blob that is read by batch.
const maxBatchRead = 1 << 20

// readSomehow reads a blob in the i-th of the ways there are.
func (c *client) readSomehow(ctx context.Context, i int, b blob) ([]byte, error) {
	d := b.digest()
	switch {
	case i%4 == 0 && b.size <= maxBatchRead:
		return c.batchRead(ctx, d)
	case i%4 == 1:
		return c.readZstd(ctx, d)
	case i%4 == 2:
		return c.get(ctx, "/cas/"+d.GetHash())
	}
	return c.read(ctx, d)
}

// isAbsent reports whether the server said that it has no such blob.
func isAbsent(err error) bool {
	if answer, ok := errors.AsType[*httpError](err); ok {
		return answer.code == http.StatusNotFound
	}
	return status.Code(err) == codes.NotFound
}
