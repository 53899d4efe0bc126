package segment

import (
	"math/bits"
	"sync"

	"github.com/larder-build/larder/server/blobstore"
)

// ordering keeps what the index says and what a recovery would find the same.
// A record's version is taken, its header written and its place indexed under
// a read lock; what makes records dead takes its version and changes the index
// under the write lock, so no older version appears after it. Action results
// can be overwritten, so writers of one of them go one after the other.
type ordering struct {
	sync.RWMutex
	results [64]sync.Mutex
}

// lockResults locks those of the mutexes whose bits are set.
func (o *ordering) lockResults(mask uint64) {
	for m := mask; m != 0; m &= m - 1 {
		o.results[bits.TrailingZeros64(m)].Lock()
	}
}

func (o *ordering) unlockResults(mask uint64) {
	for m := mask; m != 0; m &= m - 1 {
		o.results[bits.TrailingZeros64(m)].Unlock()
	}
}

// resultMask is the bit of the mutex for the key of that tag.
func resultMask(kind blobstore.Kind, tag uint64) uint64 {
	if kind != blobstore.AC {
		return 0
	}
	return 1 << (tag & 63)
}

// publish makes a record that was written visible. It answers false if the
// index keeps another record of the same blob.
func (s *Store) publish(seg *segment, tag uint64, h *header, offset int64) bool {
	e := entryOf(tag, h, offset)
	seg.mu.Lock()
	seg.entries = append(seg.entries, e)
	seg.mu.Unlock()
	s.stored.Add(h.stored)
	n := slot{tag, locationOf(seg.id, offset), e.meta()}
	keep := h.kind == byte(blobstore.CAS)
	old, existed := s.index.put(n, keep)
	switch {
	case !existed:
	case keep && old.size() == n.size():
		// Another wrote the same blob meanwhile. Either copy will do.
		s.stored.Add(-h.stored)
		return false
	default:
		s.superseded(old, n.loc)
	}
	return true
}

// superseded accounts for a record that a newer one replaced. Recovery must
// not take it for the newer one: versions say that it is not, but eviction
// forgets the segment of the newer first if that is the older segment, as it
// can be for one that was long in writing. Then a tombstone goes after both.
func (s *Store) superseded(old slot, by location) {
	h, ok := s.headerAt(old.loc)
	if !ok {
		return
	}
	s.stored.Add(-h.stored)
	if old.loc > by {
		_ = s.bury(old.tag, h.version) // it logs its failure
	}
	if seg := s.segs.get(old.loc.segment()); seg != nil {
		s.dropSingle(seg)
	}
}

// headerAt reads the header of the record at that place.
func (s *Store) headerAt(loc location) (header, bool) {
	seg := s.segs.get(loc.segment())
	if seg == nil || seg.acquire(s.fds) != nil {
		return header{}, false
	}
	defer seg.release(s.fds)
	b := make([]byte, maxHeaderLen)
	n, _ := seg.f.ReadAt(b, loc.offset())
	h, err := parseHeader(b[:n], seg.mac, loc.offset())
	return h, err == nil
}

// bury writes a tombstone for the records of that tag up to that version. It
// takes room that is kept for this and for carrying records over.
func (s *Store) bury(tag, version uint64) error {
	h := tombstoneHeader(tag, version)
	p, need, err := s.tryReserve(h.recordLen(), 1, s.carryLimit)
	if err == nil && need > 0 {
		err = blobstore.ErrNoSpace
	}
	if err == nil {
		err = s.writeTombstone(p, &h, tag)
	}
	if err != nil {
		s.log.Warn("tombstone cannot be written: a dropped blob may come back after a restart", "error", err)
	}
	return err
}

func (s *Store) writeTombstone(p place, h *header, tag uint64) error {
	defer s.unpin(p, p.length)
	if _, err := p.seg.f.WriteAt(h.append(nil, p.seg.mac, p.offset), p.offset); err != nil {
		return s.writeError(err)
	}
	p.seg.mu.Lock()
	p.seg.entries = append(p.seg.entries, entryOf(tag, h, p.offset))
	p.seg.mu.Unlock()
	s.markDirty(p.seg)
	return nil
}

// dropSingle removes the segment of a large blob that is dead, unless it is
// still being written: then the writer does it.
func (s *Store) dropSingle(seg *segment) {
	if !seg.single {
		return
	}
	s.head.mu.Lock()
	defer s.head.mu.Unlock()
	if seg.state == stateGone || seg.pins > 0 {
		return
	}
	s.room.give(seg.disk())
	s.drop(seg)
	s.changed.notify()
}
