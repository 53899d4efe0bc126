package storetest

import (
	"slices"
	"testing"

	"github.com/larder-build/larder/server/blobstore"
)

func findMissingClauses() []clause {
	return []clause{
		{"of nothing is nothing", func(t *testing.T, s blobstore.Store) {
			missing, err := s.FindMissing(t.Context(), nil)
			if len(missing) != 0 || err != nil {
				t.Errorf("%v, %v", missing, err)
			}
		}},
		{"names each absent key, duplicates too, ascending", func(t *testing.T, s blobstore.Store) {
			keys, want := mixedKeys(t, s)
			got, err := s.FindMissing(t.Context(), keys)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%d missing, error %v; want %d", len(got), err, len(want))
			}
		}},
		{"leaves the keys as they are", func(t *testing.T, s blobstore.Store) {
			keys, _ := mixedKeys(t, s)
			before := slices.Clone(keys)
			if _, err := s.FindMissing(t.Context(), keys); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(keys, before) {
				t.Error("keys were changed")
			}
		}},
	}
}

// mixedKeys returns thousands of keys of which every other digest is in the
// store, some twice, and the indexes of those that are not.
func mixedKeys(t *testing.T, s blobstore.Store) (keys []blobstore.Key, missing []int) {
	t.Helper()
	var blobs []blobstore.Blob
	for i := range 1000 {
		c := Content(20+i%50, uint64(i))
		b := identity(CAS(c), c)
		if i%7 == 0 {
			b.Key = AC("instance", string(c))
		}
		if i%2 == 0 {
			blobs = append(blobs, b)
		}
		keys = append(keys, b.Key)
	}
	mustPut(t, s, blobs...)
	keys = append(keys, keys...)
	keys = append(keys, keys[1], keys[1], keys[2], keys[2])
	for i := range keys {
		absent := i%2 == 1
		if i >= 2000 {
			absent = i < 2002
		}
		if absent {
			missing = append(missing, i)
		}
	}
	return keys, missing
}
