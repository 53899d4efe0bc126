package e2e

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/larder-build/larder/internal/testenv"
)

// TestFlippedBit turns one bit of a blob in the store's files. The server says
// DATA_LOSS once, gives no wrong byte, then calls the blob missing, and takes
// it again.
func TestFlippedBit(t *testing.T) {
	testenv.NeedsProcesses(t)
	for _, tc := range []struct {
		name    string
		size    int
		restart bool
		read    func(*client, context.Context, *repb.Digest) ([]byte, error)
		// unary reads give nothing of a corrupt blob; a stream may give its
		// beginning.
		unary bool
	}{
		{"stream", 3 << 20, false, (*client).read, false},
		{"stream of a small blob", 2000, false, (*client).read, true},
		{"stream after restart", 3 << 20, true, (*client).read, false},
		{"zstd stream", 3 << 20, false, (*client).readZstd, false},
		{"batch", 2000, false, (*client).batchRead, true},
		{"batch after restart", 2000, true, (*client).batchRead, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			server := larder.Start(t, testenv.Options{})
			c := dial(t, server)
			content := blob{number: 2, size: tc.size}.data()
			d := digestOf(content)
			other := blob{number: 4, size: tc.size}.data()
			for _, data := range [][]byte{content, other} {
				if err := c.write(t.Context(), digestOf(data), data); err != nil {
					t.Fatal(err)
				}
			}
			if tc.restart {
				server.Stop(t)
			}
			flipBit(t, server.Dir, content)
			if tc.restart {
				server.Restart(t)
			}

			got, err := tc.read(c, t.Context(), d)
			if status.Code(err) != codes.DataLoss {
				t.Errorf("first read: %d bytes, error %v; want DATA_LOSS", len(got), err)
			}
			if !bytes.HasPrefix(content, got) || tc.unary && len(got) > 0 {
				t.Errorf("first read gave %d bytes that are not the blob's", len(got))
			}
			if got, err := tc.read(c, t.Context(), d); status.Code(err) != codes.NotFound {
				t.Errorf("second read: %d bytes, error %v; want NOT_FOUND", len(got), err)
			}
			if missing, err := c.missing(t.Context(), d, digestOf(other)); err != nil || len(missing) != 1 || missing[0].GetHash() != d.GetHash() {
				t.Errorf("missing: %v, %v; want only the corrupt blob", missing, err)
			}
			if err := c.write(t.Context(), d, content); err != nil {
				t.Errorf("writing it again: %v", err)
			}
			for _, data := range [][]byte{content, other} {
				if got, err := tc.read(c, t.Context(), digestOf(data)); err != nil || !bytes.Equal(got, data) {
					t.Errorf("after that: %d bytes, error %v; want the blob", len(got), err)
				}
			}
		})
	}
}

// TestFlippedBitOverHTTP expects the same of HTTP, where the length promised is
// not kept.
func TestFlippedBitOverHTTP(t *testing.T) {
	testenv.NeedsProcesses(t)
	for _, size := range []int{2000, 3 << 20} {
		server := larder.Start(t, testenv.Options{})
		c := dial(t, server)
		content := blob{number: 2, size: size}.data()
		path := "/cas/" + digestOf(content).GetHash()
		if err := c.put(t.Context(), path, content, ""); err != nil {
			t.Fatal(err)
		}
		flipBit(t, server.Dir, content)
		if got, err := c.get(t.Context(), path); err == nil {
			t.Errorf("first GET of %d bytes succeeded with %d bytes", size, len(got))
		}
		if _, err := c.get(t.Context(), path); !isAbsent(err) {
			t.Errorf("second GET of %d bytes: %v; want 404", size, err)
		}
		if err := c.put(t.Context(), path, content, ""); err != nil {
			t.Errorf("PUT again: %v", err)
		}
		if got, err := c.get(t.Context(), path); err != nil || !bytes.Equal(got, content) {
			t.Errorf("after that: %d bytes, error %v; want the blob", len(got), err)
		}
	}
}

// flipBit finds content in a file of the store and turns one bit in the middle
// of it.
func flipBit(t *testing.T, dir string, content []byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(text, content)
		if at < 0 {
			continue
		}
		at += len(content) / 2
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt([]byte{text[at] ^ 1}, int64(at)); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatalf("none of the %d files in %s has the blob's bytes", len(files), dir)
}
