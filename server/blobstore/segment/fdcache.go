package segment

import (
	"math"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// maxOpenFiles bounds the segment files that are kept open, also where the
// system would allow more.
const maxOpenFiles = 16384

// fdCache closes the least recently used segment files when too many are open.
type fdCache struct {
	limit int
	clock atomic.Int64
	mu    sync.Mutex
	open  map[*segment]struct{}
}

// newFDCache takes half of the descriptors the process may have; the listeners
// need the others.
func newFDCache() *fdCache {
	limit := maxOpenFiles
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) == nil {
		limit = int(min(uint64(limit), max(r.Cur/2, 16)))
	}
	return &fdCache{limit: limit, open: make(map[*segment]struct{})}
}

// used notes a use. The clock ticks when a file is opened, which is when the
// order of uses matters.
func (c *fdCache) used(s *segment) {
	if now := c.clock.Load(); s.lastUse.Load() != now {
		s.lastUse.Store(now)
	}
}

func (c *fdCache) opened(s *segment) {
	s.lastUse.Store(c.clock.Add(1))
	c.mu.Lock()
	c.open[s] = struct{}{}
	c.mu.Unlock()
	// More than one, as there may have been none to close the last time.
	for range 2 {
		c.closeOldest(s)
	}
}

// closeOldest closes the file that was not used for longest, if there are too
// many. One that is just being opened or retired is left alone: waiting for it
// here could be waiting for each other.
func (c *fdCache) closeOldest(but *segment) {
	c.mu.Lock()
	var oldest *segment
	if len(c.open) > c.limit {
		oldest = c.oldestIdle(but)
	}
	c.mu.Unlock()
	if oldest != nil && oldest.openMu.TryLock() {
		oldest.closeIdle(refsClosed, c)
		oldest.openMu.Unlock()
	}
}

func (c *fdCache) oldestIdle(but *segment) *segment {
	var oldest *segment
	at := int64(math.MaxInt64)
	for s := range c.open {
		if use := s.lastUse.Load(); s != but && s.refs.Load() == 0 && use < at {
			oldest, at = s, use
		}
	}
	return oldest
}

func (c *fdCache) closed(s *segment) {
	c.mu.Lock()
	delete(c.open, s)
	c.mu.Unlock()
}
