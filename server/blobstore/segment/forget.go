package segment

import (
	"context"

	"github.com/larder-build/larder/server/blobstore"
)

// Remove forgets a blob, also for after a restart.
func (s *Store) Remove(ctx context.Context, key blobstore.Key) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	tag := s.ident.key.tag(&key)
	for range lookupTries {
		sl, ok := s.index.get(tag)
		if want := wantedSize(&key); !ok || want >= 0 && sl.size() != want {
			return nil
		}
		if removed, err := s.kill(sl); removed {
			if err != nil {
				return err
			}
			return s.durable()
		}
	}
	return blobstore.ErrUnavailable
}

// kill takes the record at that place out of the index, with a tombstone so
// that it stays out. It answers false if the index has another place by now.
func (s *Store) kill(sl slot) (bool, error) {
	h, ok := s.headerAt(sl.loc)
	s.order.Lock()
	_, removed := s.index.remove(sl.tag, sl.loc)
	version := s.version.Add(1)
	s.order.Unlock()
	if !removed {
		return false, nil
	}
	if ok {
		s.stored.Add(-h.stored)
	}
	err := s.bury(sl.tag, version)
	if seg := s.segs.get(sl.loc.segment()); seg != nil {
		s.dropSingle(seg)
	}
	return true, err
}

// forget takes a record out of the index.
func (s *Store) forget(sl slot) { _, _ = s.kill(sl) }

// dropCorrupt forgets a blob whose bytes are not those that were written.
func (s *Store) dropCorrupt(sl slot, name, reason string) {
	removed, _ := s.kill(sl) // bury logs its failure
	if !removed {
		return
	}
	s.corrupt.Add(1)
	s.metrics.corrupt.Inc()
	s.log.Warn("corrupt blob dropped: a client can write it again", "blob", name,
		"segment", segmentName(sl.loc.segment()), "offset", sl.loc.offset(), "reason", reason)
}
