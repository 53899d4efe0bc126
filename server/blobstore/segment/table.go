package segment

import (
	"math/bits"
	"sync/atomic"
)

const (
	slotSize = 24
	// tableMin is the smallest number of places of a table; with its overflow it
	// fills a page.
	tableMin = 128
	// A table grows when more than loadNum/loadDen of its places are taken, to
	// growNum/growDen of its size: 28 to 34 bytes a slot.
	loadNum, loadDen = 85, 100
	growNum, growDen = 6, 5
)

// table is one shard of the index: slots in the order of their tags, each at
// or after the place its tag asks for, with gaps (ordered linear probing). So
// the search for an absent tag ends as early as that for a present one, also
// when the table is nearly full, and growing copies from begin to end.
//
// The slots lie outside the Go heap: the garbage collector neither looks at
// them nor lets the process grow to twice their size.
type table struct {
	slots []slot // places, an overflow, and an empty last one
	size  uint64 // places: where tags ask to be
	count int
}

// home is the place that a tag asks for. The upper bits of all tags of a shard
// are equal and are left out. It grows with the tag.
func (t *table) home(tag uint64) int {
	hi, _ := bits.Mul64(tag<<shardBits, t.size)
	return int(hi)
}

// find returns the place of the tag, or the one where it would have to be.
func (t *table) find(tag uint64) (int, bool) {
	if t.size == 0 {
		return 0, false
	}
	i := t.home(tag)
	for t.slots[i].loc != 0 && t.slots[i].tag < tag {
		i++
	}
	return i, t.slots[i].loc != 0 && t.slots[i].tag == tag
}

func (t *table) load(i int) meta     { return meta(atomic.LoadUint64((*uint64)(&t.slots[i].meta))) }
func (t *table) store(i int, m meta) { atomic.StoreUint64((*uint64)(&t.slots[i].meta), uint64(m)) }

// touch notes a use. Others may touch at the same time.
func (t *table) touch(i int, minute uint32) meta {
	for {
		old := t.load(i)
		m := old.used(minute)
		if m == old || atomic.CompareAndSwapUint64((*uint64)(&t.slots[i].meta), uint64(old), uint64(m)) {
			return old
		}
	}
}

// insert puts s, whose tag is absent, at the place find told.
func (t *table) insert(s slot) {
	if uint64(t.count+1)*loadDen > t.size*loadNum {
		t.resize(max(tableMin, t.size*growNum/growDen))
	}
	for !t.place(s) {
		t.resize(t.size * growNum / growDen)
	}
	t.count++
}

func (t *table) place(s slot) bool {
	i, _ := t.find(s.tag)
	end := i
	for t.slots[end].loc != 0 {
		end++
	}
	if end == len(t.slots)-1 {
		return false
	}
	copy(t.slots[i+1:end+1], t.slots[i:end])
	t.slots[i] = s
	return true
}

// remove takes the slot at i out and moves those after it nearer to their
// places.
func (t *table) remove(i int) {
	end := i + 1
	for t.slots[end].loc != 0 && t.home(t.slots[end].tag) < end {
		end++
	}
	copy(t.slots[i:end-1], t.slots[i+1:end])
	t.slots[end-1] = slot{}
	t.count--
	if t.size > tableMin && uint64(t.count)*4 < t.size {
		t.resize(max(tableMin, uint64(t.count)*2))
	}
}

// resize moves all slots to a table of that many places.
func (t *table) resize(size uint64) {
	for {
		next := newTable(size)
		if next.fill(t.slots) {
			next.count = t.count
			t.free()
			*t = next
			return
		}
		next.free()
		size = size * growNum / growDen
	}
}

// fill places slots that are in order; it fails if the overflow is too small.
func (t *table) fill(slots []slot) bool {
	at := 0
	for i := range slots {
		if slots[i].loc == 0 {
			continue
		}
		at = max(at, t.home(slots[i].tag))
		if at >= len(t.slots)-1 {
			return false
		}
		t.slots[at] = slots[i]
		at++
	}
	return true
}

func newTable(size uint64) table {
	overflow := 40 + size/256
	return table{slots: allocSlots(int(size + overflow)), size: size}
}

// tableFor returns an empty table with room for that many slots.
func tableFor(count int) table {
	return newTable(max(tableMin, uint64(count)*loadDen/loadNum+1))
}

func (t *table) free() {
	freeSlots(t.slots)
	*t = table{}
}
