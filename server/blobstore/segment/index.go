package segment

import (
	"sync"
	"sync/atomic"
)

const (
	shardBits  = 8
	shardCount = 1 << shardBits
)

// index knows where each blob is. It is all that FindMissing needs.
type index struct {
	shards [shardCount]shard
	// The sums of what the slots tell; bytes are logical.
	blobs, results, bytes atomic.Int64
}

type shard struct {
	mu sync.RWMutex
	table
	_ [64]byte // keeps neighbours off each other's cache line
}

func (x *index) shard(tag uint64) *shard { return &x.shards[shardOf(tag)] }

// get returns the slot of the tag.
func (x *index) get(tag uint64) (slot, bool) {
	s := x.shard(tag)
	s.mu.RLock()
	defer s.mu.RUnlock()
	i, ok := s.find(tag)
	if !ok {
		return slot{}, false
	}
	return slot{tag, s.slots[i].loc, s.load(i)}, true
}

// touch notes a use of the tag's blob in that minute, if it has the wanted size
// or if that is negative, and returns its slot as it was.
func (x *index) touch(tag uint64, size int64, minute uint32) (slot, bool) {
	s := x.shard(tag)
	s.mu.RLock()
	defer s.mu.RUnlock()
	i, ok := s.find(tag)
	if !ok || size >= 0 && s.load(i).size() != size {
		return slot{}, false
	}
	return slot{tag, s.slots[i].loc, s.touch(i, minute)}, true
}

// put makes loc the place of the tag and returns the slot that was there. If
// keep is set and there is one of the same size, it stays.
func (x *index) put(n slot, keep bool) (old slot, existed bool) {
	s := x.shard(n.tag)
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.find(n.tag)
	if !ok {
		s.insert(n)
		x.count(n.meta, 1)
		return slot{}, false
	}
	old = slot{n.tag, s.slots[i].loc, s.load(i)}
	if keep && old.size() == n.size() {
		return old, true
	}
	s.slots[i].loc = n.loc
	s.store(i, n.meta)
	x.count(old.meta, -1)
	x.count(n.meta, 1)
	return old, true
}

// move changes the place of the tag's blob if it is still the old one. What was
// noted of its use stays.
func (x *index) move(tag uint64, from, to location) bool {
	s := x.shard(tag)
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.find(tag)
	if !ok || s.slots[i].loc != from {
		return false
	}
	s.slots[i].loc = to
	return true
}

// remove forgets the tag's blob if it is at that place.
func (x *index) remove(tag uint64, loc location) (slot, bool) {
	s := x.shard(tag)
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.find(tag)
	if !ok || s.slots[i].loc != loc {
		return slot{}, false
	}
	old := slot{tag, loc, s.load(i)}
	s.remove(i)
	x.count(old.meta, -1)
	return old, true
}

// count adds n blobs like m to the sums.
func (x *index) count(m meta, n int64) {
	if m.ac() {
		x.results.Add(n)
	} else {
		x.blobs.Add(n)
	}
	x.bytes.Add(n * m.size())
}

// each calls do with every slot, in the order of the tags, one shard locked at
// a time, until it answers false.
func (x *index) each(do func(slot) bool) {
	for i := range x.shards {
		if !x.shards[i].each(do) {
			return
		}
	}
}

func (s *shard) each(do func(slot) bool) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for i := range s.slots {
		if s.slots[i].loc != 0 && !do(slot{s.slots[i].tag, s.slots[i].loc, s.load(i)}) {
			return false
		}
	}
	return true
}

func (x *index) free() {
	for i := range x.shards {
		s := &x.shards[i]
		s.mu.Lock()
		s.table.free()
		s.mu.Unlock()
	}
}

func shardOf(tag uint64) int { return int(tag >> (64 - shardBits)) }
