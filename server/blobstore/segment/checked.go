package segment

import "sync"

const (
	// sendFrom is the stored size in bytes from which a record is worth being
	// sent out of the mapping.
	sendFrom = 1 << 20
	// maxChecked is how many such records are remembered.
	maxChecked = 4096
)

// checkedRecords remembers large records that were read whole and found good in
// this minute or the last, and when their file had been written to then. As
// long as nobody writes to the file, its pages in memory are still those that
// were checked, and the system may send them as they are.
type checkedRecords struct {
	mu      sync.Mutex
	records map[location]checkedRecord
}

type checkedRecord struct {
	minute   uint32
	modified int64
}

func (c *checkedRecords) add(loc location, r checkedRecord) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.records == nil || len(c.records) >= maxChecked {
		c.records = make(map[location]checkedRecord) // they are good for a minute anyway
	}
	c.records[loc] = r
}

func (c *checkedRecords) has(loc location, now checkedRecord) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.records[loc]
	return ok && r.modified == now.modified && now.minute-r.minute <= 1
}

// watched is a reader's account of how much it has checked, from the begin.
type watched struct {
	file  mapper // nil where it does not matter
	since checkedRecord
	to    int64
}

// watch begins the account of a large record.
func (r *reader) watch(minute uint32) {
	f, ok := r.seg.f.(mapper)
	if !ok || r.stored < sendFrom {
		return
	}
	if at, err := f.modified(); err == nil {
		r.watched = watched{file: f, since: checkedRecord{minute, at}}
	}
}

// noteChecked notes that n bytes at the stored byte at were checked.
func (r *reader) noteChecked(at, n int64) {
	w := &r.watched
	if w.file == nil || at != w.to {
		return
	}
	if w.to += n; w.to < r.stored {
		return
	}
	if now, err := w.file.modified(); err == nil && now == w.since.modified {
		r.s.checked.add(r.slot.loc, w.since)
	}
}

// Mapped returns the record's bytes in the mapping, if they were checked lately
// and the file was not written to since (blobstore.MappedReader).
func (r *reader) Mapped(n int64) []byte {
	w := &r.watched
	if r.seg == nil || w.file == nil || n < sendFrom || n > r.stored-r.pos || !r.s.checked.has(r.slot.loc, w.since) {
		return nil
	}
	hot, from := r.seg.mapHot(), r.data+r.pos
	if hot == nil || from+n > int64(len(hot.mem)) {
		return nil
	}
	return hot.mem[from : from+n : from+n]
}
