package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"syscall"
	"testing"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/google/uuid"
	bspb "google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/larder-build/larder/internal/testenv"
)

const (
	uploaders   = 64
	uploadBytes = 256 << 20
	maxRSS      = 400_000_000
	// uploadChunk is what one message carries.
	uploadChunk = 1 << 20
	// uploadRoom is the disk that the test needs, with some to spare.
	uploadRoom = uploaders*uploadBytes + 1<<30
)

// TestMemoryOfUploads lets 64 clients upload 256 MiB each at once, and expects
// that the server needs less than 400 MB of memory for it.
func TestMemoryOfUploads(t *testing.T) {
	testenv.NeedsProcesses(t)
	dir := t.TempDir()
	requireDisk(t, dir, uploadRoom)
	server := larder.Start(t, testenv.Options{Dir: dir, Args: []string{fmt.Sprintf("--max_size=%d", uploadRoom>>30)}})
	before, err := server.PeakRSS()
	if err != nil {
		t.Fatal(err)
	}

	contents := bigBlobs(uploaders)
	conn := make([]*grpc.ClientConn, uploaders)
	for i := range conn {
		conn[i], err = grpc.NewClient(server.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		defer conn[i].Close()
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	go watchMemory(ctx, server, cancel)
	var begun, done sync.WaitGroup
	begun.Add(uploaders)
	errs := make([]error, uploaders)
	for i, content := range contents {
		done.Go(func() { errs[i] = content.upload(ctx, bspb.NewByteStreamClient(conn[i]), &begun) })
	}
	done.Wait()
	if ctx.Err() != nil {
		t.Fatal(context.Cause(ctx))
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	peak, err := server.PeakRSS()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("peak memory: %d MB at rest, %d MB with %d uploads of %d MiB at once", before/1e6, peak/1e6, uploaders, uploadBytes>>20)
	if peak >= maxRSS {
		t.Errorf("peak memory of %d MB: want less than %d MB", peak/1e6, maxRSS/1_000_000)
	}
	requireThere(t, dial(t, server), contents)
}

// watchMemory ends the test as soon as it has failed, before a server without
// bounds has taken the whole machine's memory.
func watchMemory(ctx context.Context, server *testenv.Server, fail context.CancelCauseFunc) {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		rss, err := server.RSS()
		if err != nil {
			fail(err)
			return
		}
		if rss >= maxRSS {
			fail(fmt.Errorf("the server needs %d MB of memory, want less than %d MB", rss/1e6, maxRSS/1_000_000))
			return
		}
	}
}

func requireThere(t *testing.T, c *client, contents []bigBlob) {
	t.Helper()
	var digests []*repb.Digest
	for _, b := range contents {
		digests = append(digests, b.digest)
	}
	if missing, err := c.missing(t.Context(), digests...); err != nil || len(missing) != 0 {
		t.Errorf("%d uploads are missing, error %v", len(missing), err)
	}
}

// requireDisk fails the test if there is no room for it.
func requireDisk(t *testing.T, dir string, size uint64) {
	t.Helper()
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	if free := fs.Bavail * uint64(fs.Bsize); free < size {
		t.Fatalf("%s has %d MB free, this test needs %d MB: set TMPDIR to a folder that has them", dir, free/1e6, size/1e6)
	}
}

// bigBlob is 256 MiB of one repeated chunk, with a number of its own in its
// last bytes: cheap to make, and to hash, for the beginning is the same for all.
type bigBlob struct {
	chunk  []byte
	last   []byte
	digest *repb.Digest
}

func bigBlobs(n int) []bigBlob {
	common := blob{number: 2, size: uploadChunk}.data()
	beginning := sha256.New()
	for range uploadBytes/uploadChunk - 1 {
		beginning.Write(common)
	}
	blobs := make([]bigBlob, n)
	for i := range blobs {
		last := append([]byte(nil), common...)
		binary.LittleEndian.PutUint64(last[len(last)-8:], uint64(i))
		blobs[i] = bigBlob{common, last, &repb.Digest{Hash: hashOf(beginning, last), SizeBytes: uploadBytes}}
	}
	return blobs
}

// hashOf is the hash of what beginning has seen and then last.
func hashOf(beginning hash.Hash, last []byte) string {
	h, err := beginning.(hash.Cloner).Clone()
	if err != nil {
		panic(err) // sha256 can be cloned
	}
	h.Write(last)
	return hex.EncodeToString(h.Sum(nil))
}

// upload sends the first message, waits until all others have done the same,
// and goes on.
func (b bigBlob) upload(ctx context.Context, bs bspb.ByteStreamClient, begun *sync.WaitGroup) error {
	stream, err := bs.Write(ctx)
	if err != nil {
		begun.Done()
		return err
	}
	name := fmt.Sprintf("uploads/%s/blobs/%s/%d", uuid.New(), b.digest.GetHash(), b.digest.GetSizeBytes())
	for offset := int64(0); offset < uploadBytes; offset += uploadChunk {
		req := &bspb.WriteRequest{ResourceName: name, WriteOffset: offset, Data: b.chunk}
		if offset == uploadBytes-uploadChunk {
			req.Data, req.FinishWrite = b.last, true
		}
		err := stream.Send(req)
		if offset == 0 {
			begun.Done()
			begun.Wait()
		}
		if errors.Is(err, io.EOF) {
			break // the answer tells why
		}
		if err != nil {
			return err
		}
	}
	resp, err := stream.CloseAndRecv()
	if err == nil && resp.GetCommittedSize() != uploadBytes {
		err = fmt.Errorf("committed_size %d of %d", resp.GetCommittedSize(), uploadBytes)
	}
	return err
}
