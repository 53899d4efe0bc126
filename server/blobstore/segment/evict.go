package segment

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/larder-build/larder/server/blobstore"
)

const (
	// freeCheck is how often the free room of the file system is looked at.
	freeCheck = time.Second
	// minFreeInodes is how many inodes are left free, where MinFreeBytes is set.
	minFreeInodes = 1000
	// touchShare: a use makes a record worth keeping if it came later than one
	// part in touchShare of the segment's age. What a build looks up right after
	// it wrote it is not what later builds use.
	touchShare = 8
)

// evictor makes room, one segment at a time.
type evictor struct {
	mu   sync.Mutex // held by who evicts
	wake chan struct{}
	stop chan struct{}
	done sync.WaitGroup
	// credit is how many bytes of large blobs may be renumbered before others
	// must be dropped. Under mu.
	credit int64
	// giveUp is what OnNoSpace was given.
	giveUp func() bool
}

// OnNoSpace sets what is asked when there is no room and nothing can be
// evicted, since writes under way hold the segments: giveUp ends one of those
// that nobody waits for, or answers false if there is none. It must be set
// before the store is written to.
func (s *Store) OnNoSpace(giveUp func() bool) { s.evictor.giveUp = giveUp }

func (e *evictor) init(credit int64) {
	e.credit = credit
	e.wake, e.stop = make(chan struct{}, 1), make(chan struct{})
}

func (s *Store) wakeEvictor() {
	select {
	case s.evictor.wake <- struct{}{}:
	default:
	}
}

// runEvictor evicts ahead of the writers, so that they need not wait.
func (s *Store) runEvictor() {
	tick := time.NewTicker(freeCheck)
	defer tick.Stop()
	for {
		select {
		case <-s.evictor.stop:
			return
		case <-tick.C:
		case <-s.evictor.wake:
		}
		s.clearLeftovers()
		for s.overLowWater() && s.evict(s.overLowWater) {
		}
		// One file at a time: a file system may take a while to count what it got
		// back, and readers keep a file until they have read it.
		taken := s.room.disk.Load()
		for s.room.disk.Load() >= taken && s.diskIsLow() && s.evict(s.diskIsLow) {
		}
	}
}

// overLowWater reports whether there is less room below MaxBytes than there
// should always be.
func (s *Store) overLowWater() bool {
	return !s.closed.Load() && s.room.disk.Load() > s.lowWater
}

// diskIsLow reports whether the file system has less room than it should.
func (s *Store) diskIsLow() bool {
	if s.closed.Load() {
		return false
	}
	bytes, inodes, err := s.fsys.free()
	if err != nil {
		return false
	}
	s.metrics.freeBytes.Set(float64(bytes))
	return s.opts.MinFreeBytes > 0 && (bytes < s.opts.MinFreeBytes || inodes < minFreeInodes)
}

// makeRoom returns when n bytes can be taken below the limit for writers, or
// when nothing that could be evicted is left.
func (s *Store) makeRoom(ctx context.Context, n int64) error {
	full := func() bool { return s.room.disk.Load() > s.writeLimit-n }
	for full() {
		if s.closed.Load() {
			return blobstore.ErrClosed
		}
		changed := s.changed.wait()
		if s.evict(full) || !full() {
			continue
		}
		if !s.isSealing() {
			if s.evictor.giveUp != nil && s.evictor.giveUp() {
				continue
			}
			return fmt.Errorf("%w: %d bytes are wanted, %d of %d are taken, and nothing can be evicted", blobstore.ErrNoSpace, n, s.room.disk.Load(), s.opts.MaxBytes)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// isSealing reports whether there will soon be segments that can be evicted.
func (s *Store) isSealing() bool {
	s.head.mu.Lock()
	defer s.head.mu.Unlock()
	return s.head.sealing > 0
}

// evict drops the oldest segment, if that is still wanted when it is this
// one's turn. It answers false if there is none to drop.
func (s *Store) evict(wanted func() bool) bool {
	e := &s.evictor
	e.mu.Lock()
	defer e.mu.Unlock()
	if !wanted() {
		return true
	}
	seg, inOrder := s.oldest()
	if seg == nil {
		return false
	}
	if err := seg.acquire(s.fds); err != nil {
		s.log.Warn("segment cannot be opened to see what to keep of it", "segment", seg.name(), "error", err)
		return !isScarce(err) && s.dropUnread(seg)
	}
	defer seg.release(s.fds)
	v := victim{s: s, seg: seg, inOrder: inOrder, now: s.minute()}
	return v.evict()
}

// oldest returns the oldest segment that can be evicted, and whether it is the
// oldest of all. It goes around those that are being written to.
func (s *Store) oldest() (seg *segment, inOrder bool) {
	s.head.mu.Lock()
	defer s.head.mu.Unlock()
	inOrder = true
	for _, seg := range s.segs.ordered() {
		switch {
		case seg.state == stateSealed || seg.state == stateFull && seg.broken:
			return seg, inOrder
		case seg.state == stateFull && seg.pins == 0:
			return nil, false // it will be sealed in a moment
		}
		inOrder = false
	}
	return nil, false
}

// dropUnread drops a segment whose footer cannot be read.
func (s *Store) dropUnread(seg *segment) bool {
	var dead []slot
	s.index.each(func(sl slot) bool {
		if sl.loc.segment() == seg.id {
			dead = append(dead, sl)
		}
		return true
	})
	for _, sl := range dead {
		s.index.remove(sl.tag, sl.loc)
	}
	return s.dropEvicted(seg)
}

// dropEvicted removes the file of a segment of which nothing is in the index.
func (s *Store) dropEvicted(seg *segment) bool {
	s.head.mu.Lock()
	if seg.state != stateGone {
		s.room.give(seg.disk())
		s.drop(seg)
		s.metrics.evictedSegments.Inc()
	}
	s.head.mu.Unlock()
	s.changed.notify()
	return true
}

// victim is a segment that is being evicted.
type victim struct {
	s       *Store
	seg     *segment
	inOrder bool
	now     uint32 // minute
	entries []footEntry
	carried bool
}

func (v *victim) evict() bool {
	entries, err := v.s.entriesOf(v.seg)
	if err != nil {
		v.s.log.Warn("footer cannot be read: nothing of the segment is kept", "segment", v.seg.name(), "error", err)
		return v.s.dropUnread(v.seg)
	}
	v.entries = entries
	if v.seg.single && len(entries) == 1 && v.renumber(&entries[0]) {
		return true
	}
	if !v.seg.single {
		v.carry()
	}
	if v.s.closed.Load() {
		return false // what should have been carried over may not have been
	}
	if v.carried && v.s.opts.Sync != SyncOff && v.s.syncer.wait() != nil {
		// What was durable must not be lost to a power failure now.
		v.s.log.Warn("carried-over blobs may not survive a power failure", "segment", v.seg.name())
	}
	return v.forgetAll()
}

// forgetAll takes all entries out of the index and drops the segment, unless
// the store is closed meanwhile: then tombstones are missing.
func (v *victim) forgetAll() bool {
	for i := range v.entries {
		if !v.forget(&v.entries[i]) {
			return false
		}
	}
	return v.s.dropEvicted(v.seg)
}

// entriesOf returns all entries of a segment: at most maxRecords.
func (s *Store) entriesOf(seg *segment) ([]footEntry, error) {
	if entries, ok := seg.unsealed(); ok {
		return entries, nil
	}
	size, err := seg.f.size()
	if err != nil {
		return nil, err
	}
	t, err := readTrailer(seg.f, size)
	if err != nil {
		return nil, err
	}
	return t.entries(nil, seg.f, make([]byte, footerChunk), 0, t.count)
}

func (v *victim) location(e *footEntry) location { return locationOf(v.seg.id, e.offset()) }

// live returns the slot of an entry that the index has.
func (v *victim) live(e *footEntry) (slot, bool) {
	if e.tombstone() {
		return slot{}, false
	}
	sl, ok := v.s.index.get(e.tag())
	return sl, ok && sl.loc == v.location(e)
}

// worthKeeping reports whether a record was used in a way that lets one expect
// that it will be again, or that the minimum lifetime protects. What was
// carried over once counts as used before its new segment was born.
func (v *victim) worthKeeping(m meta) bool {
	if !m.touched() {
		return false
	}
	born := minuteOf(v.seg.created)
	return v.young(m) || m.minute() >= born+(max(v.now, born)-born)/touchShare
}

// young reports whether the last use was within the minimum lifetime.
func (v *victim) young(m meta) bool {
	return v.s.opts.MinTTL > 0 && timeOf(v.now).Sub(timeOf(m.minute())) < v.s.opts.MinTTL
}

// outlived reports whether the index has a copy of the record or a newer one.
// A tombstone for the record would be one for the copy.
func (v *victim) outlived(e *footEntry) bool {
	sl, ok := v.s.index.get(e.tag())
	return ok && sl.loc != v.location(e)
}

// forget takes an entry out of the index. It answers false if the store is
// closed and the entry may not go.
func (v *victim) forget(e *footEntry) bool {
	s := v.s
	if !v.inOrder && (e.tombstone() || e.ac() && !v.outlived(e)) {
		// An older record of the key may lie in an older segment, which stays.
		if err := s.bury(e.tag(), e.version()); errors.Is(err, blobstore.ErrClosed) {
			return false
		}
	}
	if e.tombstone() {
		return true
	}
	old, ok := s.index.remove(e.tag(), v.location(e))
	if !ok {
		return true
	}
	stored := s.storedSize(e, v.location(e))
	s.stored.Add(-stored)
	s.evictedBlobs.Add(1)
	s.evictedBytes.Add(stored)
	s.metrics.evictedBlobs.Inc()
	s.metrics.evictedBytes.Add(float64(stored))
	s.metrics.evictionAge.Observe(timeOf(v.now).Sub(timeOf(old.minute())).Seconds())
	if v.young(old.meta) {
		s.metrics.cutShort.Inc()
	}
	s.evictor.credit = min(s.evictor.credit+stored, s.creditLimit)
	return true
}

// renumber keeps a large blob that was used, by giving its segment the number
// of a new one. Not all can be kept: as many bytes go as stay.
func (v *victim) renumber(e *footEntry) bool {
	s := v.s
	sl, ok := v.live(e)
	size := v.seg.tail
	// A store without a limit of its own has no other bound of this.
	s.evictor.credit = min(s.evictor.credit, s.room.disk.Load()/2)
	if !ok || !v.worthKeeping(sl.meta) || s.evictor.credit < size {
		return false
	}
	if !s.renumber(v.seg, e) {
		return false
	}
	s.evictor.credit -= size
	s.metrics.carriedBlobs.Inc()
	s.metrics.carriedBytes.Add(float64(size))
	return true
}

// renumber moves a single record's segment to the head of the log. The file
// stays open for who reads it under the old number.
func (s *Store) renumber(old *segment, e *footEntry) bool {
	s.head.mu.Lock()
	defer s.head.mu.Unlock()
	if old.state != stateSealed || s.head.next == 0 {
		return false
	}
	moved := newSegment(s.fsys, s.head.next, old.segmentHead, s.ident.key)
	moved.state, moved.tail, moved.alloc, moved.punched, moved.records = stateSealed, old.tail, old.alloc, old.punched, old.records
	moved.mapLen = old.mapLen
	if err := s.fsys.rename(old.name(), moved.name()); err != nil {
		s.log.Warn("segment cannot be renamed", "segment", old.name(), "error", err)
		return false
	}
	s.head.next++
	s.syncer.created()
	s.segs.add(moved)
	kept := s.index.move(e.tag(), locationOf(old.id, e.offset()), locationOf(moved.id, e.offset()))
	s.segs.remove(old)
	old.state = stateGone
	old.retire(s.fds)
	if !kept { // removed or overwritten at this moment
		s.room.give(moved.disk())
		s.drop(moved)
	}
	return true
}
