package segment

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/larder-build/larder/server/blobstore"
)

func TestClosed(t *testing.T) {
	t.Parallel()
	s := openStore(t, small)
	b := blobOf(200_000, 1)
	mustPut(t, s, b, blobOf(10, 2))
	w, tinyWriter := mustCreate(t, s, blobOf(300_000, 3).Spec), mustCreate(t, s, blobOf(10, 4).Spec)
	if _, err := w.Write(blobOf(300_000, 3).Data[:100_000]); err != nil {
		t.Fatal(err)
	}
	r, err := s.Get(t.Context(), b.Key)
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	mustClose(t, s) // again

	// A blob that was being read is read to its end.
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, b.Data) {
		t.Errorf("read %d bytes, error %v", len(got), err)
	}
	r.Close()
	_, getErr := s.Get(t.Context(), b.Key)
	_, findErr := s.FindMissing(t.Context(), []blobstore.Key{b.Key})
	_, createErr := s.Create(t.Context(), b.Spec)
	_, writeErr := w.Write([]byte("x"))
	_, scrubErr := s.Scrub(t.Context())
	for name, err := range map[string]error{
		"get": getErr, "find missing": findErr, "create": createErr, "write": writeErr, "scrub": scrubErr,
		"commit": tinyWriter.Commit(), "put": s.Put(t.Context(), []blobstore.Blob{b})[0], "remove": s.Remove(t.Context(), b.Key),
	} {
		if !errors.Is(err, blobstore.ErrClosed) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
	w.Abort()
	s2 := openStore(t, in(s.opts.Dir, small))
	wantBlob(t, s2, b)
	wantClean(t, s2)
	if n := s2.Stats().Blobs; n != 2 {
		t.Errorf("%d blobs", n)
	}
}

// Close in the middle of everything loses nothing that was acknowledged.
func TestCloseUnderLoad(t *testing.T) {
	t.Parallel()
	for _, mode := range []SyncMode{SyncInterval, SyncAlways} {
		o := Options{Dir: t.TempDir(), MaxBytes: 64 << 20, SegmentBytes: 256 << 10, Sync: mode}
		s, err := tryOpen(t, o)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		acked := make([][]blobstore.Blob, 6)
		begun := make(chan struct{}, 100)
		for g := range acked {
			wg.Go(func() {
				for i := 0; ; i++ {
					b := blobOf([]int{100, 20_000, 100_000}[i%3], uint64(g*10_000+i))
					if err := s.Put(context.Background(), []blobstore.Blob{b})[0]; err != nil {
						if !errors.Is(err, blobstore.ErrClosed) {
							t.Error(err)
						}
						return
					}
					acked[g] = append(acked[g], b)
					select {
					case begun <- struct{}{}:
					default:
					}
				}
			})
		}
		for range cap(begun) {
			<-begun
		}
		mustClose(t, s)
		wg.Wait()
		s = openStore(t, o)
		for _, blobs := range acked {
			for _, b := range blobs {
				wantBlob(t, s, b)
			}
		}
	}
}

func TestScrub(t *testing.T) {
	t.Parallel()
	s := openStore(t, small)
	blobs := append(blobsOf(40, 3000), blobOf(200_000, 99), resultOf("a", "result"))
	mustPut(t, s, blobs...)
	if r := wantClean(t, s); r.Records != 42 || r.Bytes != 40*3000+200_000+6 || r.Segments < 3 {
		t.Errorf("report is %+v", r)
	}
	for _, i := range []int{3, 40, 41} {
		seg, offset, h := locate(t, s, blobs[i].Key)
		at := offset + h.len() + h.stored - 1
		if i == 3 {
			at = offset + 20 // in the header
		}
		var one [1]byte
		if _, err := seg.f.ReadAt(one[:], at); err != nil {
			t.Fatal(err)
		}
		if _, err := seg.f.WriteAt([]byte{one[0] ^ 4}, at); err != nil {
			t.Fatal(err)
		}
	}
	r, err := s.Scrub(t.Context())
	if err != nil || r.Dropped != 3 || len(r.Bad) != 3 {
		t.Fatalf("report is %+v, error %v", r, err)
	}
	for _, i := range []int{3, 40, 41} {
		wantError(t, s, blobs[i].Key, blobstore.ErrNotFound)
	}
	wantClean(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Scrub(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

// A record whose bytes are intact but are not the blob of its key is found by
// its digest.
func TestScrubChecksDigests(t *testing.T) {
	t.Parallel()
	s := openStore(t, small)
	b := blobOf(100, 1)
	wrong := b
	wrong.Data = blobOf(100, 2).Data
	var bt batch
	bt.items = []batchItem{{tag: s.ident.key.tag(&b.Key), spec: b.Spec, data: wrong.Data}}
	bt.length = recordLen(keyHeaderLen(&b.Key), 100)
	if err := s.appendBatch(t.Context(), &bt); err != nil {
		t.Fatal(err)
	}
	r, err := s.Scrub(t.Context())
	if err != nil || r.Dropped != 1 {
		t.Fatalf("report is %+v, error %v", r, err)
	}
	wantMessage(t, errors.New(r.Bad[0].Reason), "digest")
}
