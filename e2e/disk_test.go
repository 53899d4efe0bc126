package e2e

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/larder-build/larder/internal/testenv"
)

const (
	diskSize = "size=64m"
	// fillerBytes is what something else takes of the disk, and later gives back.
	fillerBytes = 24 << 20
	// maxFilling is more than the disk can take, in blobs of 1 MiB.
	maxFilling = 100
)

// TestFullDisk writes to a disk until it is full. The server refuses writes of
// every kind, serves what it has, also after a restart, and takes writes again
// when there is room.
func TestFullDisk(t *testing.T) {
	testenv.NeedsProcesses(t)
	disk := mountDisk(t)
	filler := filepath.Join(disk, "filler")
	if err := os.WriteFile(filler, make([]byte, fillerBytes), 0o600); err != nil {
		t.Fatal(err)
	}
	server := larder.Start(t, testenv.Options{Dir: filepath.Join(disk, "store"), Args: []string{"--max_size=1GiB"}})
	c := dial(t, server)

	var numbers uint64
	next := func() []byte {
		numbers += 2
		return blob{number: numbers, size: 1 << 20}.data()
	}
	kept := fill(t, c, next)
	if len(kept) == 0 {
		t.Fatal("not one blob fits the disk")
	}
	requireRefusals(t, c, next)
	requireKept(t, c, kept)

	server.Kill()
	server.Restart(t)
	requireKept(t, c, kept)
	// What was cut off by the kill may have left a little room.
	kept = append(kept, fill(t, c, next)...)
	requireRefusals(t, c, next)
	requireKept(t, c, kept)

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	data := next()
	if err := c.write(t.Context(), digestOf(data), data); err != nil {
		t.Fatalf("with %d MiB free again: %v", fillerBytes>>20, err)
	}
	requireKept(t, c, append(kept, data))
	server.Stop(t)
}

// fill writes blobs until the disk is full, and returns those that fit.
func fill(t *testing.T, c *client, next func() []byte) [][]byte {
	t.Helper()
	var kept [][]byte
	for range maxFilling {
		data := next()
		err := c.write(t.Context(), digestOf(data), data)
		if err == nil {
			kept = append(kept, data)
			continue
		}
		t.Logf("%d blobs of 1 MiB fit, then: %v", len(kept), err)
		if status.Code(err) != codes.ResourceExhausted {
			t.Fatalf("after %d blobs: %v, want RESOURCE_EXHAUSTED", len(kept), err)
		}
		return kept
	}
	t.Fatalf("%d MiB fit a disk of %s", maxFilling, diskSize)
	return nil
}

// requireRefusals fails the test unless a write is refused in every way there
// is, with the code for a lack of space.
func requireRefusals(t *testing.T, c *client, next func() []byte) {
	t.Helper()
	var full *httpError
	for _, way := range []struct {
		name  string
		write func(context.Context, *repb.Digest, []byte) error
	}{
		{"stream", c.write},
		{"zstd stream", c.writeZstd},
		{"batch", func(ctx context.Context, _ *repb.Digest, data []byte) error {
			return c.batch(ctx, repb.Compressor_IDENTITY, [][]byte{data})[0]
		}},
		{"http", func(ctx context.Context, d *repb.Digest, data []byte) error {
			return c.put(ctx, "/cas/"+d.GetHash(), data, "")
		}},
	} {
		data := next()
		d := digestOf(data)
		err := way.write(t.Context(), d, data)
		refused := status.Code(err) == codes.ResourceExhausted || errors.As(err, &full) && full.code == http.StatusInsufficientStorage
		if !refused {
			t.Errorf("%s on the full disk: %v, want RESOURCE_EXHAUSTED or 507", way.name, err)
		}
		if missing, err := c.missing(t.Context(), d); err != nil || len(missing) != 1 {
			t.Errorf("%s: the refused blob is not missing: %v, %v", way.name, missing, err)
		}
	}
}

func requireKept(t *testing.T, c *client, kept [][]byte) {
	t.Helper()
	for i, want := range kept {
		if got, err := c.read(t.Context(), digestOf(want)); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("blob %d of %d: %d bytes, %v", i, len(kept), len(got), err)
		}
	}
}

// mountDisk mounts a small disk, and unmounts it after the test.
func mountDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("larder-test", dir, "tmpfs", 0, diskSize); err != nil {
		t.Fatalf("mounting a small tmpfs: %v: this test needs root (or CAP_SYS_ADMIN in a container)", err)
	}
	t.Cleanup(func() {
		// Detached: the server that was killed a moment ago may be held in it.
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmounting %s: %v", dir, err)
		}
	})
	return dir
}
