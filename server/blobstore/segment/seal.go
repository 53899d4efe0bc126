package segment

import (
	"errors"
	"slices"
	"sync"
)

// sealer writes the footers of full segments, in the background and one at a
// time.
type sealer struct {
	mu    sync.Mutex
	queue []*segment // bounded by the number of segments
	wake  chan struct{}
}

func newSealer() *sealer { return &sealer{wake: make(chan struct{}, 1)} }

func (q *sealer) enqueue(seg *segment) {
	q.mu.Lock()
	q.queue = append(q.queue, seg)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *sealer) next() *segment {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) == 0 {
		return nil
	}
	seg := q.queue[0]
	q.queue = q.queue[1:]
	return seg
}

// runSealer seals until the store is closed.
func (s *Store) runSealer() {
	for {
		for seg := s.sealer.next(); seg != nil; seg = s.sealer.next() {
			s.seal(seg)
		}
		select {
		case <-s.stop:
			return
		case <-s.sealer.wake:
		}
	}
}

// seal ends a segment with its footer. If that fails the segment is as good as
// before; the next start scans it.
func (s *Store) seal(seg *segment) {
	err := s.writeSeal(seg)
	if err != nil {
		s.log.Warn("segment cannot be sealed", "segment", seg.name(), "error", err)
		s.metrics.writeErrors.Inc()
	}
	s.head.mu.Lock()
	s.head.sealing--
	seg.broken = err != nil
	s.head.mu.Unlock()
	s.changed.notify()
	s.wakeEvictor()
}

func (s *Store) writeSeal(seg *segment) error {
	if err := seg.acquire(s.fds); err != nil {
		if errors.Is(err, errGone) {
			return nil
		}
		return err
	}
	defer seg.release(s.fds)
	s.head.mu.Lock()
	start, punched := align(seg.tail), seg.punched
	s.head.mu.Unlock()
	// The footer vouches for the data, so the data must not be lost without it.
	if s.opts.Sync != SyncOff {
		if err := s.syncer.now(seg); err != nil {
			return err
		}
	}
	entries, _ := seg.unsealed()
	if len(entries) == 0 {
		s.dropEmpty(seg)
		return nil
	}
	sortEntries(entries)
	t := newTrailer(seg.segmentHead, entries, start)
	t.punched = punched
	end, err := t.write(seg.f, entries)
	if err == nil {
		err = seg.f.truncate(end)
	}
	if err != nil {
		return err
	}
	s.markDirty(seg)
	s.sealed(seg, end)
	return nil
}

// dropEmpty removes a segment all of whose writes were aborted.
func (s *Store) dropEmpty(seg *segment) {
	s.head.mu.Lock()
	defer s.head.mu.Unlock()
	if seg.state != stateGone {
		s.room.give(seg.disk())
		s.drop(seg)
	}
}

// sealed accounts for a segment that has its footer.
func (s *Store) sealed(seg *segment, end int64) {
	s.head.mu.Lock()
	defer s.head.mu.Unlock()
	if seg.state == stateGone {
		return
	}
	s.room.give(seg.alloc - end)
	seg.alloc = end
	seg.state = stateSealed
	seg.mu.Lock()
	seg.entries = nil
	seg.mu.Unlock()
	s.unhold(seg)
}

// unsealed returns a copy of the entries of a segment that has no footer.
func (s *segment) unsealed() ([]footEntry, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.entries), s.entries != nil
}
