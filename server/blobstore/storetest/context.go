package storetest

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/larder-build/larder/server/blobstore"
)

func contextClauses() []clause {
	return []clause{
		{"that has ended is never a missing blob", func(t *testing.T, s blobstore.Store) {
			c := Content(1000, 1)
			mustPut(t, s, identity(CAS(c), c))
			ctx := ended(t)
			if r, err := s.Get(ctx, CAS(c)); err == nil {
				r.Close()
			} else {
				wantCanceled(t, "Get", err)
			}
			missing, err := s.FindMissing(ctx, []blobstore.Key{CAS(c)})
			if len(missing) != 0 {
				t.Errorf("FindMissing names %v", missing)
			}
			if err != nil {
				wantCanceled(t, "FindMissing", err)
			}
		}},
		{"that has ended begins no write", func(t *testing.T, s blobstore.Store) {
			c := Content(1000, 1)
			w, err := s.Create(ended(t), identity(CAS(c), c).Spec)
			if err == nil {
				_, err = w.Write(c)
				if err == nil {
					err = w.Commit()
				}
				w.Abort()
			}
			wantCanceled(t, "write", err)
			wantMissing(t, s, CAS(c))
			for _, err := range s.Put(ended(t), []blobstore.Blob{identity(CAS(c), c), identity(CAS(nil), nil)}) {
				wantCanceled(t, "Put", err)
			}
			wantMissing(t, s, CAS(c))
		}},
		{"that ends during a write leaves nothing", func(t *testing.T, s blobstore.Store) {
			for _, e := range []blobstore.Encoding{blobstore.Identity, blobstore.Zstd} {
				c := Content(2<<20, uint64(e))
				b := identity(CAS(c), c)
				if e == blobstore.Zstd {
					b = compressed(CAS(c), c)
				}
				ctx, cancel := context.WithCancel(t.Context())
				w, err := s.Create(ctx, b.Spec)
				if err != nil {
					t.Fatal(err)
				}
				half := len(b.Data) / 2
				mustFill(t, w, b.Data[:half])
				cancel()
				_, err = w.Write(b.Data[half:])
				if err == nil {
					err = w.Commit()
				}
				w.Abort()
				wantCanceled(t, e.String()+" write", err)
				wantMissing(t, s, b.Key)
			}
		}},
		{"that ends during a read ends it, and harms nothing", func(t *testing.T, s blobstore.Store) {
			c := Content(4<<20, 1)
			mustWrite(t, s, identity(CAS(c), c))
			ctx, cancel := context.WithCancel(t.Context())
			r, err := s.Get(ctx, CAS(c))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(r, make([]byte, 10)); err != nil {
				t.Fatal(err)
			}
			cancel()
			if _, err = io.Copy(io.Discard, r); err != nil {
				wantCanceled(t, "Read", err)
			}
			r.Close()
			wantContent(t, s, CAS(c), c)
		}},
	}
}

func ended(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func wantCanceled(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%s with an ended context: error %v, want context.Canceled", what, err)
	}
}
