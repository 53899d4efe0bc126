package segment

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// segments is the set of the store's segments by number. Looking one up takes
// no lock: the set is copied when it changes, which is once in many megabytes.
type segments struct {
	mu  sync.Mutex
	set atomic.Pointer[map[uint32]*segment]
}

func (s *segments) all() map[uint32]*segment {
	if m := s.set.Load(); m != nil {
		return *m
	}
	return nil
}

func (s *segments) get(number uint32) *segment { return s.all()[number] }

// ordered returns the segments, the oldest first.
func (s *segments) ordered() []*segment {
	return slices.SortedFunc(maps.Values(s.all()), func(a, b *segment) int { return cmp.Compare(a.id, b.id) })
}

func (s *segments) add(segs ...*segment) {
	s.change(func(m map[uint32]*segment) {
		for _, n := range segs {
			m[n.id] = n
		}
	})
}

func (s *segments) remove(n *segment) {
	s.change(func(m map[uint32]*segment) { delete(m, n.id) })
}

func (s *segments) change(do func(map[uint32]*segment)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := maps.Clone(s.all())
	if m == nil {
		m = make(map[uint32]*segment)
	}
	do(m)
	s.set.Store(&m)
}
