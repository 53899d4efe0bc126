package segment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// source is a segment that was found, and its entries: in its footer, or in
// memory if it was scanned.
type source struct {
	seg     *segment
	trailer trailer
	entries []footEntry // sorted; of a segment without a good footer
	scanned bool
}

// recover finds what the directory has and fills the index.
func (s *Store) recover(ctx context.Context) error {
	numbers, err := s.listSegments()
	if err != nil {
		return err
	}
	sources, err := s.openSources(ctx, numbers)
	if err != nil {
		return err
	}
	s.segs.add(segmentsOf(sources)...)
	if err := s.loadIndex(ctx, sources); err != nil {
		return err
	}
	s.adopt(sources)
	s.dropDeadSingles(sources)
	s.loadTouches()
	s.buryLate()
	return nil
}

func segmentsOf(sources []*source) []*segment {
	segs := make([]*segment, len(sources))
	for i, src := range sources {
		segs[i] = src.seg
	}
	return segs
}

// listSegments returns the numbers of the segments, ascending. It clears away
// what a crash in the middle of replaceFile has left, and leaves files it does
// not know alone.
func (s *Store) listSegments() ([]uint32, error) {
	names, err := s.fsys.list()
	if err != nil {
		return nil, fmt.Errorf("list directory: %w", err)
	}
	var numbers []uint32
	s.head.next = 1
	for _, name := range names {
		if name == metaName+tempSuffix || name == touchesName+tempSuffix {
			if err := s.fsys.remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		}
		number, ok := parseSegmentName(strings.TrimSuffix(name, badSuffix))
		if !ok {
			continue
		}
		s.head.next = max(s.head.next, number+1)
		if !strings.HasSuffix(name, badSuffix) {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// openSources opens all segments, several at a time, for footers are read and
// tails are scanned here.
func (s *Store) openSources(ctx context.Context, numbers []uint32) ([]*source, error) {
	sources := make([]*source, len(numbers))
	group, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range min(runtime.GOMAXPROCS(0), len(numbers)) {
		group.Go(func() error {
			buf := make([]byte, scanWindow)
			for i := int(next.Add(1)) - 1; i < len(numbers); i = int(next.Add(1)) - 1 {
				if err := ctx.Err(); err != nil {
					return err
				}
				src, err := s.openSource(numbers[i], buf)
				if err != nil {
					return fmt.Errorf("segment %s: %w", segmentName(numbers[i]), err)
				}
				sources[i] = src
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(sources, func(src *source) bool { return src == nil }), nil
}

// openSource opens one segment; the answer is nil for one that is left out.
func (s *Store) openSource(number uint32, buf []byte) (*source, error) {
	name := segmentName(number)
	f, err := s.fsys.open(name)
	if err != nil {
		return s.leaveOut(name, err)
	}
	src, err := s.readSource(f, number, buf)
	if src == nil {
		f.Close()
		if err != nil {
			return s.leaveOut(name, err)
		}
	}
	return src, nil
}

// leaveOut goes on without a segment whose file the disk cannot read. Trouble
// that may be over at the next start fails this one instead.
func (s *Store) leaveOut(name string, err error) (*source, error) {
	if isScarce(err) || errors.Is(err, errNewSegment) {
		return nil, err
	}
	s.lostSegment()
	s.log.Error("segment cannot be read and is left out; its file stays", "segment", name, "error", err)
	return nil, nil
}

func (s *Store) lostSegment() {
	s.lostSegments.Add(1)
	s.metrics.corrupt.Inc()
}

func (s *Store) readSource(f file, number uint32, buf []byte) (*source, error) {
	size, err := f.size()
	if err != nil {
		return nil, err
	}
	t, footerErr := readTrailer(f, size)
	head, err := readHead(f)
	if errors.Is(err, errBadSegment) && footerErr == nil {
		head, err = t.head, nil
	}
	switch {
	case errors.Is(err, errBadSegment):
		return nil, s.setAside(number, size)
	case err != nil:
		return nil, err
	case head.store != s.ident.id:
		s.log.Warn("segment of another store ignored", "segment", segmentName(number))
		return nil, nil
	}
	src := &source{seg: newSegment(s.fsys, number, head, s.ident.key), trailer: t}
	if footerErr == nil {
		footerErr = t.verify(f, buf)
	}
	if footerErr != nil {
		if err := s.scanSource(src, f, size, buf); err != nil {
			return nil, err
		}
	}
	if src.seg.state == stateGone {
		return nil, nil
	}
	src.seg.mapLen = max(size, s.segmentBytes)
	src.seg.attach(f, 0, s.fds)
	return src, nil
}

// setAside keeps a file that cannot be a segment any more out of the way of
// the store, and for whoever wants to look at it.
func (s *Store) setAside(number uint32, size int64) error {
	name := segmentName(number)
	if size <= dataStart { // a crash while it was created
		return s.fsys.remove(name)
	}
	s.lostSegment()
	s.log.Error("segment header is damaged: all of the segment is lost", "segment", name, "kept_as", name+badSuffix)
	return s.fsys.rename(name, name+badSuffix)
}

// scanSource finds the records of a segment without a footer, and cuts off
// what was not finished.
func (s *Store) scanSource(src *source, f file, size int64, buf []byte) error {
	seg := src.seg
	sc := scanner{f: f, size: size, mac: seg.mac, key: s.ident.key, buf: buf}
	found := sc.scan(seg.single)
	if found.lost > 0 {
		s.corrupt.Add(int64(found.lost))
		s.lostRecords.Add(int64(found.lost))
		s.metrics.corrupt.Add(float64(found.lost))
		s.log.Warn("records lost: their data was not on disk", "segment", seg.name(), "records", found.lost)
	}
	if found.err != nil {
		s.log.Error("segment can be read in part only", "segment", seg.name(), "error", found.err)
		seg.broken = true
		found.tail = size
	}
	if len(found.entries) == 0 && found.err == nil {
		seg.state = stateGone
		return s.fsys.remove(seg.name())
	}
	if found.tail < size {
		if err := f.truncate(found.tail); err != nil {
			return err
		}
	}
	sortEntries(found.entries)
	src.scanned, src.entries = true, found.entries
	src.trailer = newTrailer(seg.segmentHead, found.entries, align(found.tail))
	return nil
}

// adopt takes the segments into the store. The newest goes on being written
// to if there is room; scanned ones get their footer.
func (s *Store) adopt(sources []*source) {
	newest := -1
	for i, src := range sources {
		if !src.seg.single {
			newest = i
		}
	}
	s.head.mu.Lock()
	defer s.head.mu.Unlock()
	for i, src := range sources {
		seg, t := src.seg, &src.trailer
		seg.records, seg.tail, seg.punched = t.count, t.start, t.punched
		seg.alloc = t.start + footerLen(t.count)
		s.room.disk.Add(seg.disk())
		s.version.Store(max(s.version.Load(), t.maxVersion))
		switch {
		case i == newest && s.resume(src):
			s.head.cur = seg
		case src.scanned:
			s.adoptScanned(src)
		default:
			seg.state = stateSealed
		}
	}
}

// adoptScanned takes in a segment that needs a footer. Under head.mu.
func (s *Store) adoptScanned(src *source) {
	seg := src.seg
	seg.state, seg.entries = stateFull, src.entries
	if seg.acquire(s.fds) != nil {
		seg.broken = true // readable as it is; the next start tries again
		return
	}
	seg.held = true
	s.sealIfIdle(seg)
}

// resume makes a segment that is not half full the head of the log again, so
// that restarts do not leave many small ones.
func (s *Store) resume(src *source) bool {
	seg, t := src.seg, &src.trailer
	if seg.broken || t.start > s.segmentBytes/2 || t.count > maxRecords/2 {
		return false
	}
	if seg.acquire(s.fds) != nil { // held until it is sealed
		return false
	}
	if !src.scanned {
		entries, err := t.entries(nil, seg.f, make([]byte, footerChunk), 0, t.count)
		if err != nil || seg.f.truncate(t.start) != nil {
			seg.release(s.fds)
			return false
		}
		src.entries = entries
	}
	seg.state, seg.entries, seg.held = stateOpen, src.entries, true
	return true
}

// dropDeadSingles removes the files of large blobs that were overwritten or
// removed when the store had no time left to remove them.
func (s *Store) dropDeadSingles(sources []*source) {
	for _, src := range sources {
		if !src.seg.single {
			continue
		}
		e, err := s.firstEntry(src)
		if err != nil {
			continue
		}
		if sl, ok := s.index.get(e.tag()); !ok || sl.loc != locationOf(src.seg.id, e.offset()) {
			s.dropSingle(src.seg)
		}
	}
}

func (s *Store) firstEntry(src *source) (footEntry, error) {
	if src.scanned && len(src.entries) > 0 {
		return src.entries[0], nil
	}
	if src.scanned { // it could not be read
		return footEntry{}, errBadFooter
	}
	entries, err := s.readEntries(nil, src.seg, &src.trailer, make([]byte, footerChunk), 0, min(1, src.trailer.count))
	if err != nil || len(entries) == 0 {
		return footEntry{}, cmp.Or(err, errBadFooter)
	}
	return entries[0], nil
}

// readEntries appends entries of a segment's footer.
func (s *Store) readEntries(dst []footEntry, seg *segment, t *trailer, buf []byte, from, to int) ([]footEntry, error) {
	if err := seg.acquire(s.fds); err != nil {
		return dst, err
	}
	defer seg.release(s.fds)
	return t.entries(dst, seg.f, buf, from, to)
}
