package segment

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/larder-build/larder/server/blobstore"
)

const (
	// maxRecords bounds the records of a segment, and so the memory that the
	// footer of an unsealed one needs: 16 MiB.
	maxRecords = 512 << 10
	// maxAllocStep is the most that is preallocated at once for small blobs.
	maxAllocStep = 8 << 20
	// minPunch is the least dead room worth a system call.
	minPunch = 64 << 10
	// pageSize is what room is given back in multiples of.
	pageSize = 4 << 10
)

// appendLog is the head of the log: the segment that takes new records.
type appendLog struct {
	mu   sync.Mutex
	cur  *segment
	next uint32 // the number of the next segment
	// sealing counts the segments that wait for their footer.
	sealing int
	// leftover names the files of dropped segments that could not be removed.
	leftover []string
}

// place is reserved room for a record, or several, in a segment. While it is
// held the segment is neither sealed nor evicted.
type place struct {
	seg            *segment
	offset, length int64
}

func (p place) end() int64 { return p.offset + p.length }

// reserve takes n bytes for that many records at the head of the log. It evicts
// if there is no room, and waits for that.
func (s *Store) reserve(ctx context.Context, n int64, records int) (place, error) {
	for {
		p, need, err := s.tryReserve(n, records, s.writeLimit)
		if err != nil || need == 0 {
			return p, err
		}
		if err := s.makeRoom(ctx, need); err != nil {
			return place{}, err
		}
	}
}

// tryReserve is reserve without waiting: need tells how many bytes are missing
// below the limit.
func (s *Store) tryReserve(n int64, records int, limit int64) (p place, need int64, err error) {
	l := &s.head
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.closed.Load() {
		return p, 0, blobstore.ErrClosed
	}
	seg := l.cur
	if seg == nil || !s.fits(seg, n, records) {
		if seg, err = s.roll(); err != nil {
			return p, 0, err
		}
	}
	if need, err = s.grow(seg, align(seg.tail+n)+footerLen(seg.records+records), limit); err != nil || need > 0 {
		return p, need, err
	}
	p = place{seg: seg, offset: seg.tail, length: n}
	seg.tail += n
	seg.records += records
	seg.pins++
	return p, 0, nil
}

func (s *Store) fits(seg *segment, n int64, records int) bool {
	return seg.tail+n+footerLen(seg.records+records) <= s.segmentBytes && seg.records+records <= maxRecords
}

// grow preallocates up to end, in steps.
func (s *Store) grow(seg *segment, end, limit int64) (need int64, err error) {
	if end <= seg.alloc {
		return 0, nil
	}
	end = min(max(end, seg.alloc+s.allocStep), max(end, s.segmentBytes))
	n := end - seg.alloc
	if !s.room.take(n, limit) {
		return n, nil
	}
	if err := seg.f.preallocate(seg.alloc, n); err != nil {
		s.room.give(n)
		return 0, s.writeError(err)
	}
	seg.alloc = end
	if s.room.disk.Load() > s.lowWater {
		s.wakeEvictor()
	}
	return 0, nil
}

// roll begins a new segment. The old one takes no more. Under log.mu.
func (s *Store) roll() (*segment, error) {
	if l := &s.head; l.cur != nil {
		old := l.cur
		l.cur = nil
		old.state = stateFull
		s.sealIfIdle(old)
	}
	seg, err := s.newSegment(false)
	if err == nil {
		s.head.cur = seg
	}
	return seg, err
}

// newSegment creates the file of a segment. It stays open until it is sealed.
// Under log.mu.
func (s *Store) newSegment(single bool) (*segment, error) {
	if s.head.next == 0 {
		return nil, fmt.Errorf("%w: segment numbers are used up", blobstore.ErrUnavailable)
	}
	id := s.head.next
	seg := newSegment(s.fsys, id, newHead(s.ident.id, id, single, s.now()), s.ident.key)
	s.head.next++
	f, err := s.fsys.create(seg.name())
	if err != nil {
		return nil, s.writeError(err)
	}
	b := seg.segmentHead.append(nil)
	if _, err := f.WriteAt(append(b, b...), 0); err != nil {
		f.Close()
		_ = s.fsys.remove(seg.name())
		return nil, s.writeError(err)
	}
	seg.tail, seg.entries, seg.mapLen = dataStart, []footEntry{}, s.segmentBytes
	seg.attach(f, 1, s.fds)
	seg.held = true
	s.segs.add(seg)
	s.syncer.created()
	return seg, nil
}

// reserveSingle makes a segment for one large record.
func (s *Store) reserveSingle(ctx context.Context, n int64) (place, error) {
	total := dataStart + align(n) + footerLen(1)
	for !s.room.take(total, s.writeLimit) {
		if err := s.makeRoom(ctx, total); err != nil {
			return place{}, err
		}
	}
	s.wakeEvictor()
	p, err := s.createSingle(n, total)
	if err != nil {
		s.room.give(total)
	}
	return p, err
}

func (s *Store) createSingle(n, total int64) (place, error) {
	l := &s.head
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.closed.Load() {
		return place{}, blobstore.ErrClosed
	}
	seg, err := s.newSegment(true)
	if err != nil {
		return place{}, err
	}
	seg.state = stateFull
	if err := seg.f.preallocate(0, total); err != nil {
		s.drop(seg)
		return place{}, s.writeError(err)
	}
	seg.alloc, seg.tail, seg.pins, seg.records, seg.mapLen = total, dataStart+n, 1, 1, total
	return place{seg: seg, offset: dataStart, length: n}, nil
}

// unpin ends the holding of a place. What of it is not used, from the end, is
// given back.
func (s *Store) unpin(p place, used int64) {
	l := &s.head
	l.mu.Lock()
	defer l.mu.Unlock()
	seg := p.seg
	seg.pins--
	if s.closed.Load() {
		return // Close has done the rest, or will
	}
	if used = align(used); used < p.length && !seg.single {
		s.giveBack(seg, p.offset+used, p.end())
	}
	switch {
	case seg.single && used == 0:
		s.room.give(seg.disk())
		seg.alloc, seg.punched = 0, 0
		s.drop(seg)
		s.changed.notify()
	case seg.single:
		seg.tail = p.offset + used
		s.sealIfIdle(seg)
	default:
		s.sealIfIdle(seg)
	}
}

// giveBack returns room of the log that will never be used. At the end of the
// log it is simply taken again.
func (s *Store) giveBack(seg *segment, from, to int64) {
	if seg.tail == to {
		seg.tail = from
		return
	}
	from = (from + pageSize - 1) &^ (pageSize - 1)
	to &^= pageSize - 1
	if to-from < minPunch || seg.f.punch(from, to-from) != nil {
		return
	}
	seg.punched += to - from
	s.room.give(to - from)
}

// sealIfIdle hands a full segment that has no writers to the sealer. Under
// log.mu.
func (s *Store) sealIfIdle(seg *segment) {
	if seg.state == stateFull && seg.pins == 0 && !s.closed.Load() {
		s.head.sealing++
		s.sealer.enqueue(seg)
	}
}

// drop forgets a segment and removes its file. Its room is given back by the
// caller. Under log.mu.
func (s *Store) drop(seg *segment) {
	seg.state = stateGone
	s.segs.remove(seg)
	s.unlink(seg.name())
	seg.retire(s.fds)
	s.unhold(seg)
}

// unlink removes a segment's file, or notes that it has to be tried again: at
// the next start the segment would come back, with what was overwritten since.
// Under log.mu.
func (s *Store) unlink(name string) {
	if err := s.fsys.remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("segment file cannot be removed", "segment", name, "error", err)
		s.head.leftover = append(s.head.leftover, name)
	}
}

// clearLeftovers tries again to remove files.
func (s *Store) clearLeftovers() {
	s.head.mu.Lock()
	defer s.head.mu.Unlock()
	names := s.head.leftover
	s.head.leftover = nil
	for _, name := range names {
		s.unlink(name)
	}
}

// unhold ends the holding of an unsealed segment's file. Under log.mu.
func (s *Store) unhold(seg *segment) {
	if seg.held {
		seg.held = false
		seg.release(s.fds)
	}
}

// writeError is the store's error for a failed write.
func (s *Store) writeError(err error) error {
	s.metrics.writeErrors.Inc()
	if isFull(err) {
		s.wakeEvictor()
		return fmt.Errorf("%w: %w", blobstore.ErrNoSpace, err)
	}
	return fmt.Errorf("%w: %w", blobstore.ErrUnavailable, err)
}
