package segment

import (
	"bytes"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/larder-build/larder/server/blobstore"
)

// mapped opens the blob and returns its bytes from offset as they are mapped.
func mapped(t *testing.T, s *Store, b blobstore.Blob, offset int64) []byte {
	t.Helper()
	r, err := s.Get(t.Context(), b.Key)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.SeekTo(offset); err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(r.(blobstore.MappedReader).Mapped(b.Size - offset))
}

// TestMapped has large blobs mapped once they were read whole, in a segment with
// others and in one of its own, until time passes or the file is written to.
func TestMapped(t *testing.T) {
	t.Parallel()
	for name, segmentBytes := range map[string]int64{"among others": 64 << 20, "single": 4 << 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, clock := t.TempDir(), new(clock)
			s, err := tryOpen(t, Options{Dir: dir, SegmentBytes: segmentBytes, now: clock.now})
			if err != nil {
				t.Fatal(err)
			}
			defer mustClose(t, s)
			b := blobOf(3<<20+17, 1)
			mustPut(t, s, b)
			seg, offset, h := locate(t, s, b.Key)
			await(t, "the footer, which is written to the file", func() bool {
				s.head.mu.Lock()
				defer s.head.mu.Unlock()
				return !seg.single || seg.state == stateSealed
			})
			if mapped(t, s, b, 0) != nil {
				t.Error("a blob that nobody read is vouched for")
			}
			wantBlob(t, s, b)
			for _, offset := range []int64{0, 1, 1 << 20} {
				if got := mapped(t, s, b, offset); !bytes.Equal(got, b.Data[offset:]) {
					t.Errorf("%d bytes are mapped from %d, or wrong ones", len(got), offset)
				}
			}
			if mapped(t, s, b, 3<<20) != nil {
				t.Error("a few bytes are mapped")
			}

			clock.advance(2 * time.Minute)
			if mapped(t, s, b, 0) != nil {
				t.Error("a blob that was read long ago is vouched for")
			}
			wantBlob(t, s, b)
			flip(t, filepath.Join(dir, seg.name()), offset+h.len()+2<<20)
			if mapped(t, s, b, 0) != nil {
				t.Error("a file that was written to is vouched for")
			}
			wantError(t, s, b.Key, blobstore.ErrCorrupt)
		})
	}
}

// TestMappedNeedsAllOfIt reads a large blob in part, which vouches for nothing.
func TestMappedNeedsAllOfIt(t *testing.T) {
	t.Parallel()
	s, err := tryOpen(t, Options{Dir: t.TempDir(), now: new(clock).now})
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, s)
	b := blobOf(3<<20, 1)
	mustPut(t, s, b)
	for _, part := range [][2]int64{{0, 2 << 20}, {blobstore.ReadBlock, 3<<20 - blobstore.ReadBlock}} {
		r, err := s.Get(t.Context(), b.Key)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.SeekTo(part[0]); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, r, part[1]); err != nil {
			t.Fatal(err)
		}
		r.Close()
		if mapped(t, s, b, 0) != nil {
			t.Errorf("after %d bytes from %d the blob is vouched for", part[1], part[0])
		}
	}
}
