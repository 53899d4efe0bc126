package segment

import (
	"context"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// loadEntry is an entry and the segment it is from.
type loadEntry struct {
	footEntry
	segment uint32
}

func (e *loadEntry) location() location { return locationOf(e.segment, e.offset()) }

// newer reports whether e decides about the tag that both have. The copies of a
// record that was carried over have one version; a tombstone kills those of
// its own.
func (e *loadEntry) newer(o *loadEntry) bool {
	if e.version() != o.version() {
		return e.version() > o.version()
	}
	if e.tombstone() != o.tombstone() {
		return e.tombstone()
	}
	return e.location() > o.location()
}

// late is a dead record behind the one that it is dead for: see superseded.
type late struct{ tag, version uint64 }

// loadIndex fills the index from the segments' entries, group by group, so that
// only one group's entries per processor are in memory, and shards are built at
// their right size.
func (s *Store) loadIndex(ctx context.Context, sources []*source) error {
	group, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() error {
			l := loader{s: s, sources: sources, buf: make([]byte, footerChunk)}
			for g := int(next.Add(1)) - 1; g < groupCount; g = int(next.Add(1)) - 1 {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := l.load(g); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// loader loads groups one after the other.
type loader struct {
	s       *Store
	sources []*source
	buf     []byte
	all     []loadEntry
	some    []footEntry
}

func (l *loader) load(g int) error {
	l.all = l.all[:0]
	for _, src := range l.sources {
		from, to := int(src.trailer.fences[g]), int(src.trailer.fences[g+1])
		if from == to {
			continue
		}
		if err := l.gather(src, from, to); err != nil {
			return err
		}
	}
	var counts [shardCount / groupCount]int
	for i := range l.all {
		counts[shardOf(l.all[i].tag())%len(counts)]++
	}
	for i, n := range counts {
		if n > 0 {
			l.build(g*len(counts)+i, n)
		}
	}
	return nil
}

func (l *loader) gather(src *source, from, to int) (err error) {
	if src.scanned {
		l.some = append(l.some[:0], src.entries[from:to]...)
	} else {
		// The checksum of all entries was right a moment ago.
		l.some, err = l.s.readEntries(l.some[:0], src.seg, &src.trailer, l.buf, from, to)
	}
	for i := range l.some {
		l.all = append(l.all, loadEntry{l.some[i], src.seg.id})
	}
	return err
}

// build fills one shard with those of the entries that are its, at most n.
// While it does so a slot's location is an entry's number plus one.
func (l *loader) build(shard, n int) {
	t := tableFor(n)
	for i := range l.all {
		e := &l.all[i]
		if shardOf(e.tag()) != shard {
			continue
		}
		at, found := t.find(e.tag())
		if !found {
			t.insert(slot{tag: e.tag(), loc: location(i + 1)})
			continue
		}
		other := &l.all[t.slots[at].loc-1]
		if e.newer(other) {
			t.slots[at].loc = location(i + 1)
			e, other = other, e
		}
		l.lost(e, other)
	}
	l.settle(&t)
	l.s.index.shards[shard].table = t
}

// lost notes a dead record that will outlive what makes it dead.
func (l *loader) lost(e, winner *loadEntry) {
	if e.tombstone() || e.location() < winner.location() || !winner.tombstone() && !winner.ac() {
		return
	}
	l.s.lateMu.Lock()
	defer l.s.lateMu.Unlock()
	l.s.late = append(l.s.late, late{e.tag(), e.version()})
}

// settle turns entries' numbers into locations and takes tombstones out.
func (l *loader) settle(t *table) {
	var dead []uint64
	for i := range t.slots {
		sl := &t.slots[i]
		if sl.loc == 0 {
			continue
		}
		e := &l.all[sl.loc-1]
		if e.tombstone() {
			dead = append(dead, sl.tag)
			continue
		}
		sl.loc, sl.meta = e.location(), e.meta()
		l.s.index.count(sl.meta, 1)
		l.s.stored.Add(l.s.storedSize(&e.footEntry, sl.loc))
	}
	for _, tag := range dead {
		at, _ := t.find(tag)
		t.remove(at)
	}
}

// storedSize is the stored size of an entry, from its record where the entry
// has no room for it.
func (s *Store) storedSize(e *footEntry, loc location) int64 {
	if e.stored() < maxEntryStored {
		return e.stored()
	}
	h, _ := s.headerAt(loc)
	return h.stored
}

// buryLate writes the tombstones that loading found missing.
func (s *Store) buryLate() {
	for _, d := range s.late {
		_ = s.bury(d.tag, d.version) // it logs its failure
	}
	s.late = nil
}
