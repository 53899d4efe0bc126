package segment

import (
	"cmp"
	"errors"
	"slices"

	"github.com/larder-build/larder/server/blobstore"
)

// carryBytes is how much is carried over in one write, and the memory of it.
const carryBytes = 1 << 20

var errStopCarrying = errors.New("no room to carry records over")

// carryItem is a record on its way to the head of the log.
type carryItem struct {
	slot  slot
	entry footEntry
	at    int // in the buffer
	h     header
}

// carrier copies records of a segment to the head of the log.
type carrier struct {
	v     *victim
	buf   []byte // whole records, as they lay
	n     int
	items []carryItem
}

// carry copies what is worth keeping, the last used first, up to half of the
// segment, so that eviction always gains room.
func (v *victim) carry() {
	keep := v.chosen()
	if len(keep) == 0 {
		return
	}
	c := carrier{v: v, buf: make([]byte, carryBytes)}
	for i := range keep {
		if err := c.copy(&keep[i]); err != nil {
			return
		}
	}
	_ = c.flush() // nothing follows that it could stop
}

// chosen returns the records to keep in the order of their places.
func (v *victim) chosen() []footEntry {
	var keep []footEntry
	used := make(map[uint64]uint32)
	for i := range v.entries {
		if sl, ok := v.live(&v.entries[i]); ok && v.worthKeeping(sl.meta) {
			keep = append(keep, v.entries[i])
			used[sl.tag] = sl.minute()
		}
	}
	slices.SortFunc(keep, func(a, b footEntry) int { return cmp.Compare(used[b.tag()], used[a.tag()]) })
	budget := v.seg.tail / 2
	for i := range keep {
		if budget -= keep[i].stored() + maxHeaderLen; budget < 0 {
			keep = keep[:i]
			break
		}
	}
	slices.SortFunc(keep, func(a, b footEntry) int { return cmp.Compare(a.offset(), b.offset()) })
	return keep
}

// copy adds one record to the next write.
func (c *carrier) copy(e *footEntry) error {
	sl, ok := c.v.live(e)
	if !ok {
		return nil
	}
	length := recordLen(maxHeaderLen, e.stored()) // or less
	if length > int64(len(c.buf)) {
		return c.copyLarge(sl, e)
	}
	if c.n+int(length) > len(c.buf) {
		if err := c.flush(); err != nil {
			return err
		}
	}
	b := c.buf[c.n : c.n+int(length)]
	n, err := c.v.seg.f.ReadAt(b, e.offset())
	if notEOF(err) != nil {
		return c.bad(sl, err.Error())
	}
	h, err := c.header(b[:n], sl, e)
	if err != nil || h.recordLen() > int64(n) {
		return c.bad(sl, "header does not match its code")
	}
	if !crcMatches(b[h.len():h.len()+h.stored], b[h.len()+h.stored:]) {
		return c.bad(sl, "data does not match its checksum")
	}
	c.items = append(c.items, carryItem{slot: sl, entry: *e, at: c.n, h: h})
	c.n += int(h.recordLen())
	return nil
}

// header reads the header of a record, and makes it that of its copy.
func (c *carrier) header(b []byte, sl slot, e *footEntry) (header, error) {
	h, err := parseHeader(b, c.v.seg.mac, e.offset())
	if err != nil {
		return h, err
	}
	if tag, err := h.tag(c.v.s.ident.key); err != nil || tag != sl.tag {
		return h, errBadHeader
	}
	h.minute = sl.minute()
	return h, nil
}

// bad drops a record that turned out to be corrupt.
func (c *carrier) bad(sl slot, reason string) error {
	c.v.s.dropCorrupt(sl, "(found by eviction)", reason)
	return nil
}

// flush writes the copies, with headers for their new places.
func (c *carrier) flush() error {
	if len(c.items) == 0 {
		return nil
	}
	s := c.v.s
	p, err := c.reserve(int64(c.n), len(c.items))
	if err != nil {
		return err
	}
	defer s.unpin(p, p.length)
	for i := range c.items {
		item := &c.items[i]
		item.h.append(c.buf[item.at:item.at], p.seg.mac, p.offset+int64(item.at))
	}
	if _, err := p.seg.f.WriteAt(c.buf[:c.n], p.offset); err != nil {
		return s.writeError(err)
	}
	s.markDirty(p.seg)
	for i := range c.items {
		c.moved(p.seg, &c.items[i], p.offset+int64(c.items[i].at))
	}
	c.items, c.n = c.items[:0], 0
	return nil
}

// reserve takes room that is kept for carrying; it does not evict.
func (c *carrier) reserve(n int64, records int) (place, error) {
	p, need, err := c.v.s.tryReserve(n, records, c.v.s.carryLimit)
	if err == nil && need > 0 {
		err = errStopCarrying
	}
	return p, err
}

// moved makes the copy the record, unless that was overwritten or removed
// meanwhile. Then the copy, which lies behind what makes it dead, gets a
// tombstone of its own.
func (c *carrier) moved(seg *segment, item *carryItem, offset int64) {
	s := c.v.s
	e := entryOf(item.slot.tag, &item.h, offset)
	seg.mu.Lock()
	seg.entries = append(seg.entries, e)
	seg.mu.Unlock()
	if !s.index.move(item.slot.tag, item.slot.loc, locationOf(seg.id, offset)) {
		_ = s.bury(item.slot.tag, item.h.version) // it logs its failure
		return
	}
	c.v.carried = true
	s.metrics.carriedBlobs.Inc()
	s.metrics.carriedBytes.Add(float64(item.h.stored))
}

// copyLarge copies a record that is longer than the buffer: data first, header
// last.
func (c *carrier) copyLarge(sl slot, e *footEntry) error {
	if err := c.flush(); err != nil {
		return err
	}
	s, from := c.v.s, c.v.seg.f
	n, err := from.ReadAt(c.buf[:maxHeaderLen], e.offset())
	if notEOF(err) != nil {
		return c.bad(sl, err.Error())
	}
	h, err := c.header(slices.Clone(c.buf[:n]), sl, e)
	if err != nil {
		return c.bad(sl, err.Error())
	}
	ok, err := checkData(from, e.offset()+h.len(), h.stored, c.buf)
	if err != nil || !ok {
		return c.bad(sl, "data does not match its checksum")
	}
	p, err := c.reserve(h.recordLen(), 1)
	if err != nil {
		return err
	}
	defer s.unpin(p, p.length)
	if err := c.copyBytes(p, e.offset(), h.len(), h.recordLen()); err != nil {
		return s.writeError(err)
	}
	if _, err := p.seg.f.WriteAt(h.append(nil, p.seg.mac, p.offset), p.offset); err != nil {
		return s.writeError(err)
	}
	s.markDirty(p.seg)
	c.moved(p.seg, &carryItem{slot: sl, entry: *e, h: h}, p.offset)
	return nil
}

// copyBytes copies the bytes of a record from the from'th to the to'th.
func (c *carrier) copyBytes(p place, record, from, to int64) error {
	for from < to {
		b := c.buf[:min(int64(len(c.buf)), to-from)]
		if n, err := c.v.seg.f.ReadAt(b, record+from); n < len(b) {
			// The padding after the last record may not be in the file.
			if notEOF(err) != nil || to-from-int64(n) >= recordAlign {
				return cmp.Or(err, blobstore.ErrCorrupt)
			}
			clear(b[n:])
		}
		if _, err := p.seg.f.WriteAt(b, p.offset+from); err != nil {
			return err
		}
		from += int64(len(b))
	}
	return nil
}
