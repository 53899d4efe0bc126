package segment

import (
	"testing"

	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]Options{
		"Defaults": {},
		"Compress": {Compress: true},
		"Always":   {Sync: SyncAlways, SegmentBytes: 8 << 20},
		"Off":      {Sync: SyncOff},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t *testing.T) blobstore.Store {
				o := opts
				o.MaxBytes = 4 * storetest.MinBytes
				return openStore(t, o)
			})
		})
	}
}

// openStore opens a store in a directory of its own, unless the options name
// one, and closes it at the end of the test.
func openStore(t testing.TB, opts Options) *Store {
	t.Helper()
	if opts.Dir == "" {
		opts.Dir = t.TempDir()
	}
	s, err := Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}
