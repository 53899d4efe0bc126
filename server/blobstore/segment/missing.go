package segment

import (
	"context"

	"github.com/larder-build/larder/server/blobstore"
)

// FindMissing answers from the index alone, without a read.
func (s *Store) FindMissing(ctx context.Context, keys []blobstore.Key) ([]int, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	var missing []int
	minute := s.minute()
	for i := range keys {
		key := &keys[i]
		if _, ok := s.index.touch(s.ident.key.tag(key), wantedSize(key), minute); !ok {
			missing = append(missing, i)
		}
	}
	return missing, nil
}
