package segment

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/encoding"
	"github.com/larder-build/larder/server/blobstore/storetest"
)

// Compression at rest is used where it saves room, in every way of writing.
func TestCompress(t *testing.T) {
	t.Parallel()
	noise := rand.NewChaCha8([32]byte{1})
	for _, n := range []int{127, 128, 5000, 60_000, 70_000, 300_000, 3 << 20} {
		text := bytes.Repeat([]byte("all work and no play makes Jack a dull boy. "), n/44+1)[:n]
		random := make([]byte, n)
		noise.Read(random)
		for _, write := range []func(testing.TB, *Store, blobstore.Blob){
			func(t testing.TB, s *Store, b blobstore.Blob) { mustPut(t, s, b) }, stream,
		} {
			s := openStore(t, Options{MaxBytes: 64 << 20, Compress: true})
			for _, c := range [][]byte{text, random} {
				b := blobstore.Blob{Spec: blobstore.Spec{Key: storetest.CAS(c), Size: int64(n)}, Data: c}
				write(t, s, b)
				if content(t, s, b.Key) != string(c) {
					t.Errorf("%d bytes came back changed", n)
				}
				_, _, h := locate(t, s, b.Key)
				compressed := bytes.Equal(c, text) && n >= compressFrom
				if got := blobstore.Encoding(h.encoding) == blobstore.Zstd; got != compressed {
					t.Errorf("%d bytes are stored as %v", n, blobstore.Encoding(h.encoding))
				}
				if compressed && h.stored > int64(n)/2+100 || !compressed && h.stored != int64(n) {
					t.Errorf("%d bytes are stored in %d", n, h.stored)
				}
			}
			result := resultOf("a", string(text))
			mustPut(t, s, result)
			wantBlob(t, s, result) // as it came
			wantClean(t, s)
		}
	}
}

// What comes as zstd is stored as it came and takes no more room than that.
func TestZstdRoom(t *testing.T) {
	t.Parallel()
	s := openStore(t, Options{MaxBytes: 256 << 20})
	before := s.Stats().DiskBytes
	for i := range 20 {
		c := bytes.Repeat([]byte{byte(i), 1, 2, 3}, 1<<18) // more than is kept in memory
		z := encoding.AppendCompressed(nil, c)
		b := blobstore.Blob{Spec: blobstore.Spec{Key: storetest.CAS(c), Size: int64(len(c)), Encoding: blobstore.Zstd}, Data: z}
		stream(t, s, b)
		wantBlob(t, s, b)
	}
	// Those with a segment of their own give their room back when it is sealed.
	await(t, "sealing", func() bool { return !s.isSealing() })
	if got := s.Stats().DiskBytes - before; got > 2*s.allocStep {
		t.Errorf("20 blobs that compress well take %d bytes", got)
	}
}
