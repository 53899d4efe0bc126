package storetest

import (
	"testing"

	"github.com/larder-build/larder/server/blobstore"
)

// writerClauses are about Commit and Abort.
func writerClauses() []clause {
	return []clause{
		{"makes nothing visible before Commit", func(t *testing.T, s blobstore.Store) {
			c := Content(200_000, 1)
			w := begin(t, s, identity(CAS(c), c).Spec)
			wantMissing(t, s, CAS(c))
			mustFill(t, w, c)
			wantMissing(t, s, CAS(c))
			if err := w.Commit(); err != nil {
				t.Fatal(err)
			}
			wantContent(t, s, CAS(c), c)
		}},
		{"discards on Abort", func(t *testing.T, s blobstore.Store) {
			c := Content(200_000, 1)
			w := begin(t, s, identity(CAS(c), c).Spec)
			mustFill(t, w, c)
			w.Abort()
			wantMissing(t, s, CAS(c))
			mustWrite(t, s, identity(CAS(c), c))
			w.Abort()
			wantContent(t, s, CAS(c), c)
		}},
		{"may be aborted after Commit, and twice", func(t *testing.T, s blobstore.Store) {
			c := Content(1000, 1)
			w := begin(t, s, identity(CAS(c), c).Spec)
			mustFill(t, w, c)
			if err := w.Commit(); err != nil {
				t.Fatal(err)
			}
			w.Abort()
			w.Abort()
			wantContent(t, s, CAS(c), c)
		}},
		{"cannot be used after Abort", func(t *testing.T, s blobstore.Store) {
			c := Content(1000, 1)
			w := begin(t, s, identity(CAS(c), c).Spec)
			mustFill(t, w, c)
			w.Abort()
			if _, err := w.Write(nil); err == nil {
				t.Error("Write after Abort is no error")
			}
			if err := w.Commit(); err == nil {
				t.Error("Commit after Abort is no error")
			}
			wantMissing(t, s, CAS(c))
		}},
	}
}

// writerUseClauses are about all else.
func writerUseClauses() []clause {
	return []clause{
		{"does not keep what it is given", func(t *testing.T, s blobstore.Store) {
			c := Content(300_000, 1)
			w := begin(t, s, identity(CAS(c), c).Spec)
			buf := make([]byte, 1000)
			for i := 0; i < len(c); i += len(buf) {
				copy(buf, c[i:])
				mustFill(t, w, buf)
				clear(buf)
			}
			if err := w.Commit(); err != nil {
				t.Fatal(err)
			}
			wantContent(t, s, CAS(c), c)
		}},
		{"takes any chunks", func(t *testing.T, s blobstore.Store) {
			for i, chunk := range []int{1, 3, 4096, 65_536, 65_537, 1 << 20} {
				c := Content(min(150_000, 20_000*chunk)+i, 1)
				if err := write(t, s, identity(CAS(c), c), chunk); err != nil {
					t.Fatalf("in chunks of %d: %v", chunk, err)
				}
				wantContent(t, s, CAS(c), c)
			}
		}},
		{"gives its room back", testRoom},
		{"may write what is there", func(t *testing.T, s blobstore.Store) {
			c := Content(100_000, 1)
			mustWrite(t, s, identity(CAS(c), c), identity(CAS(c), c), compressed(CAS(c), c), identity(CAS(c), c))
			wantContent(t, s, CAS(c), c)
		}},
	}
}

// testRoom begins far more than there is room for, and gives it up.
func testRoom(t *testing.T, s blobstore.Store) {
	c := Content(8<<20, 1)
	large := CAS(c)
	large.Digest = large.Digest.WithSize(MinBytes / 2)
	for range 32 {
		w := begin(t, s, blobstore.Spec{Key: large, Size: MinBytes / 2})
		mustFill(t, w, c[:1000])
		w.Abort()
	}
	wrong := identity(CAS(c), c[:len(c)-1])
	wrong.Size++
	for range 3 {
		wantMismatch(t, wrong.Key, write(t, s, wrong, 1<<20))
	}
	mustWrite(t, s, identity(CAS(c), c))
	wantContent(t, s, CAS(c), c)
}

// begin begins a write that is aborted at the end of the test, if not before.
func begin(t *testing.T, s blobstore.Store, spec blobstore.Spec) blobstore.Writer {
	t.Helper()
	w, err := s.Create(t.Context(), spec)
	if err != nil {
		t.Fatalf("Create %v: %v", spec.Key, err)
	}
	t.Cleanup(w.Abort)
	return w
}

func mustFill(t *testing.T, w blobstore.Writer, p []byte) {
	t.Helper()
	if n, err := w.Write(p); n != len(p) || err != nil {
		t.Fatalf("Write of %d bytes: %d, %v", len(p), n, err)
	}
}
