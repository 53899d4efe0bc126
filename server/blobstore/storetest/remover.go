package storetest

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/larder-build/larder/server/blobstore"
)

// removerClauses hold for stores that are a blobstore.Remover.
func removerClauses() []clause {
	clauses := []clause{
		{"makes a blob absent", func(t *testing.T, s blobstore.Store) {
			for i, n := range []int{10, 200_000} {
				c := Content(n, 1)
				for _, b := range []blobstore.Blob{identity(CAS(c), c), identity(AC("a", string(rune('a'+i))), c)} {
					mustPut(t, s, b)
					mustRemove(t, s, b.Key)
					wantMissing(t, s, b.Key)
				}
			}
		}},
		{"leaves the other blobs", func(t *testing.T, s blobstore.Store) {
			a, b := Content(100, 1), Content(100, 2)
			mustPut(t, s, identity(CAS(a), a), identity(CAS(b), b), identity(AC("", "x"), a), identity(AC("i", "x"), b))
			mustRemove(t, s, CAS(a))
			mustRemove(t, s, AC("i", "x"))
			wantContent(t, s, CAS(b), b)
			wantContent(t, s, AC("", "x"), a)
		}},
		{"removes what is absent without an error", func(t *testing.T, s blobstore.Store) {
			c := Content(100, 1)
			mustRemove(t, s, CAS(c))
			mustPut(t, s, identity(CAS(c), c))
			mustRemove(t, s, CAS(c))
			mustRemove(t, s, CAS(c))
			wantMissing(t, s, CAS(c))
		}},
		{"leaves room for the blob to come back", func(t *testing.T, s blobstore.Store) {
			c := Content(5000, 1)
			for range 3 {
				mustWrite(t, s, identity(CAS(c), c))
				wantContent(t, s, CAS(c), c)
				mustRemove(t, s, CAS(c))
				wantMissing(t, s, CAS(c))
			}
		}},
		{"gives a reader nothing wrong", func(t *testing.T, s blobstore.Store) {
			c := Content(1<<20, 1)
			mustWrite(t, s, identity(CAS(c), c))
			r := open(t, s, CAS(c))
			mustRemove(t, s, CAS(c))
			all, err := io.ReadAll(r)
			if err == nil && !bytes.Equal(decode(t, r, all), c) {
				t.Error("wrong content")
			}
		}},
	}
	for i, c := range clauses {
		clauses[i].test = func(t *testing.T, s blobstore.Store) {
			if isRemover(t, s) {
				c.test(t, s)
			}
		}
	}
	return clauses
}

// isRemover reports whether the store can forget. A decorator around one that
// cannot has the verb, and answers errors.ErrUnsupported.
func isRemover(t *testing.T, s blobstore.Store) bool {
	r, ok := s.(blobstore.Remover)
	return ok && !errors.Is(r.Remove(t.Context(), AC("", "none")), errors.ErrUnsupported)
}

func mustRemove(t *testing.T, s blobstore.Store, key blobstore.Key) {
	t.Helper()
	if err := s.(blobstore.Remover).Remove(t.Context(), key); err != nil {
		t.Fatalf("Remove %v: %v", key, err)
	}
}
