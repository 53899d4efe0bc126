package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// A segment's file begins with its header, twice: without the salt in it
// nothing in the segment can be recognized.
const (
	segmentMagic  = "LARDRSEG"
	segmentHeader = 64
	dataStart     = 2 * segmentHeader

	// flagSingle marks the segment of one large blob.
	flagSingle = 1
)

// segmentHead is what a segment's header tells.
type segmentHead struct {
	store   [16]byte
	number  uint32 // at its creation; the file's name tells the present one
	single  bool
	salt    uint64
	created time.Time
}

func newHead(store [16]byte, number uint32, single bool, now time.Time) segmentHead {
	return segmentHead{store: store, number: number, single: single, salt: rand.Uint64(), created: now}
}

func (h *segmentHead) append(dst []byte) []byte {
	start := len(dst)
	var flags uint32
	if h.single {
		flags = flagSingle
	}
	dst = append(dst, segmentMagic...)
	dst = binary.LittleEndian.AppendUint32(dst, formatVersion)
	dst = binary.LittleEndian.AppendUint32(dst, flags)
	dst = binary.LittleEndian.AppendUint32(dst, h.number)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, h.salt)
	dst = append(dst, h.store[:]...)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.created.UnixNano()))
	dst = append(dst, 0, 0, 0, 0)
	return append(dst[:start], appendChecksum(dst[start:])...)
}

func appendChecksum(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

var (
	errBadSegment = errors.New("segment header is damaged")
	// errNewSegment is the error of a segment that a newer program wrote.
	errNewSegment = errors.New("segment is of another format version")
)

// parseHead reads one copy of a segment's header.
func parseHead(b []byte) (h segmentHead, err error) {
	if len(b) < segmentHeader || string(b[:8]) != segmentMagic ||
		crc32.Checksum(b[:segmentHeader-4], castagnoli) != binary.LittleEndian.Uint32(b[segmentHeader-4:]) {
		return h, errBadSegment
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != formatVersion {
		return h, fmt.Errorf("%w: it has %d, this program knows %d", errNewSegment, v, formatVersion)
	}
	h.single = binary.LittleEndian.Uint32(b[12:])&flagSingle != 0
	h.number = binary.LittleEndian.Uint32(b[16:])
	h.salt = binary.LittleEndian.Uint64(b[24:])
	copy(h.store[:], b[32:48])
	h.created = time.Unix(0, int64(binary.LittleEndian.Uint64(b[48:])))
	return h, nil
}

// readHead reads the header of a segment's file: the first good one of its
// copies.
func readHead(f file) (segmentHead, error) {
	var b [dataStart]byte
	n, err := f.ReadAt(b[:], 0)
	if err != nil && err != io.EOF {
		return segmentHead{}, err
	}
	h, err := parseHead(b[:min(n, segmentHeader)])
	if errors.Is(err, errBadSegment) && n == dataStart {
		return parseHead(b[segmentHeader:])
	}
	return h, err
}

// The states of a segment, under log.mu.
type segmentState uint8

const (
	stateOpen   segmentState = iota // takes records
	stateFull                       // takes no new ones; writers may be at work in it
	stateSealed                     // has its footer
	stateGone                       // is forgotten
)

// segment is one file of the store.
type segment struct {
	segmentHead
	id   uint32 // the number in its name, and in locations
	mac  sipKey
	fsys files

	// The file is open while refs >= 0; refs counts its users. Below that it is
	// closed (refsClosed) or not to be opened any more (refsGone).
	refs    atomic.Int64
	f       file
	openMu  sync.Mutex
	removed atomic.Bool
	// lastUse is the fd cache's clock.
	lastUse atomic.Int64
	// hot is the open file's mapping, of mapLen bytes, if it was wanted yet.
	hot        atomic.Pointer[hotPages]
	mapLen     int64
	unmappable atomic.Bool

	// Under log.mu.
	state   segmentState
	tail    int64 // where the next record goes
	alloc   int64 // room accounted for and preallocated, from offset 0
	punched int64 // of that, given back
	pins    int   // writers at work
	records int   // reserved
	broken  bool  // an I/O error; its sealing is not tried again
	held    bool  // the file is held open for its writers, until it is sealed

	mu      sync.Mutex
	entries []footEntry // while not sealed
}

const (
	refsClosed = -1
	refsGone   = -2
)

var errGone = errors.New("segment is gone")

func newSegment(fsys files, id uint32, head segmentHead, store sipKey) *segment {
	s := &segment{segmentHead: head, id: id, mac: store.segmentKey(head.salt), fsys: fsys}
	s.refs.Store(refsClosed)
	return s
}

func (s *segment) name() string { return segmentName(s.id) }

// disk is the room the segment takes. Under log.mu.
func (s *segment) disk() int64 { return s.alloc - s.punched }

// acquire makes sure the file stays open until release.
func (s *segment) acquire(cache *fdCache) error {
	for {
		switch n := s.refs.Load(); {
		case n >= 0:
			if s.refs.CompareAndSwap(n, n+1) {
				cache.used(s)
				return nil
			}
		case n == refsGone:
			return errGone
		default:
			if err := s.reopen(cache); err != nil {
				return err
			}
		}
	}
}

func (s *segment) reopen(cache *fdCache) error {
	s.openMu.Lock()
	defer s.openMu.Unlock()
	if s.refs.Load() != refsClosed {
		return nil
	}
	if s.removed.Load() {
		return errGone
	}
	f, err := s.fsys.open(s.name())
	if err != nil {
		return err
	}
	s.attach(f, 0, cache)
	return nil
}

// attach makes f the open file, of that many users.
func (s *segment) attach(f file, users int64, cache *fdCache) {
	s.f = f
	s.refs.Store(users)
	cache.opened(s)
}

// release undoes one acquire.
func (s *segment) release(cache *fdCache) {
	if s.refs.Add(-1) == 0 && s.removed.Load() {
		s.closeIdle(refsGone, cache)
	}
}

// closeIdle closes the file if nobody uses it. Either openMu is held or the
// segment is removed, so that nobody opens it meanwhile.
func (s *segment) closeIdle(state int64, cache *fdCache) {
	if !s.refs.CompareAndSwap(0, state) {
		return
	}
	s.unmapHot()
	s.f.Close()
	cache.closed(s)
}

// retire lets the file be closed by its last user, and by nobody opened again.
func (s *segment) retire(cache *fdCache) {
	s.openMu.Lock()
	defer s.openMu.Unlock()
	s.removed.Store(true)
	if s.refs.CompareAndSwap(refsClosed, refsGone) {
		return
	}
	s.closeIdle(refsGone, cache)
}
