package storetest

import (
	"testing"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/server/blobstore"
)

// sizes of blobs around the borders where stores change their ways.
func sizes() []int {
	const block = blobstore.ReadBlock
	return []int{0, 1, 2, 100, 4095, 4096, block - 1, block, block + 1, 2 * block, 1 << 20}
}

func getClauses() []clause {
	return []clause{
		{"finds what Put wrote", func(t *testing.T, s blobstore.Store) {
			for _, n := range sizes() {
				c := Content(n, 1)
				mustPut(t, s, identity(CAS(c), c))
				wantContent(t, s, CAS(c), c)
			}
		}},
		{"finds what Commit made visible", func(t *testing.T, s blobstore.Store) {
			for _, n := range sizes() {
				c := Content(n, 1)
				mustWrite(t, s, identity(CAS(c), c))
				wantContent(t, s, CAS(c), c)
			}
		}},
		{"finds blobs of every digest function", func(t *testing.T, s blobstore.Store) {
			for _, fn := range digest.Supported() {
				c := Content(1000, uint64(fn))
				key := blobstore.Namespace{}.CAS("", digest.Of(fn, c))
				mustPut(t, s, identity(key, c))
				wantContent(t, s, key, c)
				c = Content(1001, uint64(fn))
				key = blobstore.Namespace{}.CAS("", digest.Of(fn, c))
				mustWrite(t, s, identity(key, c))
				wantContent(t, s, key, c)
			}
		}},
		{"answers ErrNotFound for an absent blob", func(t *testing.T, s blobstore.Store) {
			wantMissing(t, s, CAS(Content(10, 1)))
			wantMissing(t, s, AC("", "none"))
		}},
		{"answers ErrNotFound for another size (rule 2)", testWrongSize},
		{"takes SizeUnknown", testSizeUnknown},
		{"keeps instance names apart", testInstances},
	}
}

func testWrongSize(t *testing.T, s blobstore.Store) {
	for _, n := range []int{0, 1, 1000, 100_000} {
		c := Content(n, 1)
		key := CAS(c)
		mustPut(t, s, identity(key, c))
		for _, size := range []int64{int64(n) + 1, 2*int64(n) + 2, int64(n) - 1} {
			if size < 0 {
				continue
			}
			wrong := key
			wrong.Digest = key.Digest.WithSize(size)
			wantMissing(t, s, wrong)
		}
		wantContent(t, s, key, c)
	}
}

func testSizeUnknown(t *testing.T, s blobstore.Store) {
	c := Content(5000, 1)
	key := CAS(c)
	unknown := key
	unknown.Digest = key.Digest.WithSize(digest.SizeUnknown)
	wantMissing(t, s, unknown)
	mustPut(t, s, identity(key, c))
	wantContent(t, s, unknown, c)
	missing, err := s.FindMissing(t.Context(), []blobstore.Key{unknown})
	if err != nil || len(missing) != 0 {
		t.Errorf("FindMissing: %v, %v, want none missing", missing, err)
	}
}

func testInstances(t *testing.T, s blobstore.Store) {
	c := Content(300, 1)
	ns := blobstore.Namespace{IsolateCAS: true}
	d := digest.Of(digest.SHA256, c)
	longest := string(Content(blobstore.MaxInstanceLen, 2))
	names := []string{"", "a", "a/b", "b", longest, longest[:blobstore.MaxInstanceLen-1] + "x"}
	for i, name := range names {
		mustPut(t, s, identity(ns.CAS(name, d), c))
		for _, later := range names[i+1:] {
			wantMissing(t, s, ns.CAS(later, d))
		}
	}
	for _, name := range names {
		wantContent(t, s, ns.CAS(name, d), c)
	}
}
