package storetest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/server/blobstore"
)

func putClauses() []clause {
	return []clause{
		{"writes many at once", func(t *testing.T, s blobstore.Store) {
			var blobs []blobstore.Blob
			for i := range 500 {
				c := Content(i*7, uint64(i))
				b := identity(CAS(c), c)
				if i%3 == 0 {
					b = compressed(CAS(c), c)
				}
				blobs = append(blobs, b)
			}
			mustPut(t, s, blobs...)
			for i, b := range blobs {
				wantContent(t, s, b.Key, Content(i*7, uint64(i)))
			}
		}},
		{"answers for each blob alone (rule 19)", testPutErrors},
		{"takes the same blob twice in a batch", func(t *testing.T, s blobstore.Store) {
			c := Content(1000, 1)
			mustPut(t, s, identity(CAS(c), c), identity(CAS(c), c), compressed(CAS(c), c))
			mustPut(t, s, identity(CAS(c), c))
			wantContent(t, s, CAS(c), c)
		}},
		{"does not keep Data", func(t *testing.T, s blobstore.Store) {
			for _, n := range []int{10, 1000, 100_000} {
				c := Content(n, 1)
				data := append([]byte(nil), c...)
				mustPut(t, s, identity(CAS(c), data))
				clear(data)
				wantContent(t, s, CAS(c), c)
			}
		}},
		{"of nothing is nothing", func(t *testing.T, s blobstore.Store) {
			if errs := s.Put(t.Context(), nil); len(errs) != 0 {
				t.Errorf("errors %v", errs)
			}
		}},
		{"refuses a blob larger than any store", func(t *testing.T, s blobstore.Store) {
			for _, size := range []int64{1 << 50, 1<<63 - 1} {
				key := CAS(Content(5, 1))
				key.Digest = key.Digest.WithSize(size)
				w, err := s.Create(t.Context(), blobstore.Spec{Key: key, Size: size})
				if err == nil {
					w.Abort()
				}
				if !errors.Is(err, blobstore.ErrTooLarge) && !errors.Is(err, blobstore.ErrNoSpace) {
					t.Errorf("Create of %d bytes: %v, want ErrTooLarge or ErrNoSpace", size, err)
				}
			}
			c := Content(1000, 1)
			mustWrite(t, s, identity(CAS(c), c))
		}},
		{"refuses an unknown size", func(t *testing.T, s blobstore.Store) {
			key := CAS(nil)
			key.Digest = key.Digest.WithSize(digest.SizeUnknown)
			spec := blobstore.Spec{Key: key, Size: digest.SizeUnknown}
			if err := write(t, s, blobstore.Blob{Spec: spec}, 1); err == nil {
				t.Error("a blob of unknown size was written")
			}
			if err := s.Put(t.Context(), []blobstore.Blob{{Spec: spec}})[0]; err == nil {
				t.Error("a blob of unknown size was put")
			}
		}},
	}
}

func testPutErrors(t *testing.T, s blobstore.Store) {
	var blobs []blobstore.Blob
	for i := range 9 {
		c := Content(1000+i, 1)
		blobs = append(blobs, identity(CAS(c), c))
	}
	// The content of every third blob is another's.
	for i := 0; i < len(blobs); i += 3 {
		blobs[i].Data = Content(len(blobs[i].Data), 2)
	}
	errs := s.Put(t.Context(), blobs)
	if len(errs) != len(blobs) {
		t.Fatalf("%d errors for %d blobs", len(errs), len(blobs))
	}
	for i, b := range blobs {
		t.Run(fmt.Sprint("blob ", i), func(t *testing.T) {
			if i%3 == 0 {
				wantMismatch(t, b.Key, errs[i])
				wantMissing(t, s, b.Key)
				return
			}
			if errs[i] != nil {
				t.Errorf("error %v", errs[i])
			}
			wantContent(t, s, b.Key, b.Data)
		})
	}
}
