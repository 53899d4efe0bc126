package storetest

import (
	"errors"
	"testing"

	"github.com/larder-build/larder/server/blobstore"
)

func verifyClauses() []clause {
	return []clause{
		{"refuses other content of the same size (rule 4)", func(t *testing.T, s blobstore.Store) {
			for _, n := range []int{1, 1000, 300_000} {
				wantRefused(t, s, identity(CAS(Content(n, 1)), Content(n, 2)))
			}
		}},
		{"refuses content that is too short (rule 4)", func(t *testing.T, s blobstore.Store) {
			for _, n := range []int{1, 1000, 300_000} {
				b := identity(CAS(Content(n, 1)), Content(n, 1))
				b.Data = b.Data[:n-1]
				wantRefused(t, s, b)
			}
		}},
		{"refuses content that is too long (rule 4)", func(t *testing.T, s blobstore.Store) {
			for _, n := range []int{0, 1, 1000, 300_000} {
				b := identity(CAS(Content(n, 1)), Content(n, 1))
				b.Data = append(b.Data, 'x')
				wantRefused(t, s, b)
			}
		}},
		{"refuses the right hash with another size (rule 2)", func(t *testing.T, s blobstore.Store) {
			c := Content(1000, 1)
			for _, size := range []int64{999, 1001, 0} {
				b := identity(CAS(c), c)
				b.Key.Digest = b.Key.Digest.WithSize(size)
				wantRefused(t, s, b) // the spec says the content's own size
				b.Size = size
				wantRefused(t, s, b)
			}
		}},
		{"fails a Write at once when there is too much", func(t *testing.T, s blobstore.Store) {
			c := Content(1000, 1)
			w := begin(t, s, identity(CAS(c), c).Spec)
			mustFill(t, w, c)
			_, err := w.Write([]byte{1})
			wantMismatch(t, CAS(c), err)
			if err := w.Commit(); err == nil {
				t.Error("Commit after a failed Write is no error")
			}
			wantMissing(t, s, CAS(c))
		}},
		{"keeps the good blob when a bad one of its name comes", func(t *testing.T, s blobstore.Store) {
			c := Content(5000, 1)
			mustPut(t, s, identity(CAS(c), c))
			bad := identity(CAS(c), Content(5000, 2))
			wantMismatch(t, bad.Key, write(t, s, bad, 1000))
			wantMismatch(t, bad.Key, s.Put(t.Context(), []blobstore.Blob{bad})[0])
			wantContent(t, s, CAS(c), c)
		}},
		{"takes the good blob after a bad one", func(t *testing.T, s blobstore.Store) {
			c := Content(5000, 1)
			wantRefused(t, s, identity(CAS(c), Content(5000, 2)))
			mustWrite(t, s, identity(CAS(c), c))
			wantContent(t, s, CAS(c), c)
		}},
		{"blames the content only for the content", func(t *testing.T, s blobstore.Store) {
			c := Content(5000, 1)
			w := begin(t, s, identity(CAS(c), c).Spec)
			w.Abort()
			if err := w.Commit(); errors.Is(err, blobstore.ErrMismatch) {
				t.Errorf("Commit after Abort: %v", err)
			}
		}},
	}
}

// wantRefused writes a bad blob in every way and checks that nothing is left.
func wantRefused(t *testing.T, s blobstore.Store, b blobstore.Blob) {
	t.Helper()
	for _, chunk := range []int{1 << 20, 777} {
		wantMismatch(t, b.Key, write(t, s, b, chunk))
	}
	errs := s.Put(t.Context(), []blobstore.Blob{b})
	wantMismatch(t, b.Key, errs[0])
	wantMissing(t, s, b.Key)
}
