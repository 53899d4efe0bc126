package segment

import (
	"sync"
	"sync/atomic"
)

// room is the account of the bytes on disk: what segments take, dead room,
// footers and preallocated room included.
type room struct {
	disk     atomic.Int64
	reserved atomic.Int64 // of disk, by writers under way
}

// take adds n bytes unless that passes the limit.
func (r *room) take(n, limit int64) bool {
	for {
		disk := r.disk.Load()
		if disk+n > limit {
			return false
		}
		if r.disk.CompareAndSwap(disk, disk+n) {
			return true
		}
	}
}

func (r *room) give(n int64) { r.disk.Add(-n) }

// signal tells any number of goroutines that something changed.
type signal struct {
	mu sync.Mutex
	ch chan struct{}
}

// wait returns a channel that is closed at the next notify.
func (s *signal) wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

func (s *signal) notify() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}
