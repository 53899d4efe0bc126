// Command fill writes a store directory with many small blobs, through the
// store itself and without a server, for bench to start a server over. It
// prints the digests of a sample of them, one hash/size a line.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/segment"
)

const (
	// blobBytes is the size of each blob.
	blobBytes = 100
	// batch is how many are written at once.
	batch = 1000
	// sampleCount is how many digests are printed.
	sampleCount = 1000
)

func main() {
	dir := flag.String("dir", "", "`directory` of the store, which must not exist")
	count := flag.Int("count", 1_000_000, "how many blobs to write")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *dir, *count); err != nil {
		fmt.Fprintln(os.Stderr, "fill:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string, count int) (err error) {
	if _, err := os.Stat(dir); err == nil {
		return fmt.Errorf("directory %q exists already", dir)
	}
	store, err := segment.Open(ctx, segment.Options{Dir: dir, MaxBytes: int64(count)*1024 + 1<<30, Sync: segment.SyncOff})
	if err != nil {
		return err
	}
	defer func() {
		if cerr := store.Close(); err == nil {
			err = cerr
		}
	}()
	return fill(ctx, store, count, bufio.NewWriter(os.Stdout))
}

// fill writes the blobs and the sample.
func fill(ctx context.Context, store blobstore.Putter, count int, sample *bufio.Writer) error {
	every := max(1, count/sampleCount)
	for first := 0; first < count; first += batch {
		blobs := make([]blobstore.Blob, 0, batch)
		for i := first; i < min(first+batch, count); i++ {
			b := newBlob(i)
			blobs = append(blobs, b)
			if i%every == 0 {
				fmt.Fprintf(sample, "%s/%d\n", b.Key.Digest.Hex(), b.Size)
			}
		}
		for _, err := range store.Put(ctx, blobs) {
			if err != nil {
				return err
			}
		}
	}
	return sample.Flush()
}

// newBlob returns blob number i.
func newBlob(i int) blobstore.Blob {
	data := make([]byte, blobBytes)
	binary.BigEndian.PutUint64(data, uint64(i))
	d := digest.Of(digest.SHA256, data)
	return blobstore.Blob{
		Spec: blobstore.Spec{Key: blobstore.Namespace{}.CAS("", d), Size: blobBytes},
		Data: data,
	}
}
