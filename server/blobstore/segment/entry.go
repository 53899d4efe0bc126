package segment

import (
	"time"

	"github.com/larder-build/larder/server/blobstore"
)

const (
	sizeBits   = 38
	minuteBits = 24
	// maxLogical is the largest logical size in bytes of a blob: 256 GiB.
	maxLogical = 1<<sizeBits - 1
	// maxStored bounds the stored size, which for zstd can be larger.
	maxStored  = 2 * maxLogical
	maxVersion = 1<<48 - 1
	maxMinute  = 1<<minuteBits - 1
)

// minuteZero is the begin of the minutes that the index counts uses in. They
// end in 2056.
var minuteZero = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

func minuteOf(t time.Time) uint32 {
	return uint32(min(max(t.Sub(minuteZero)/time.Minute, 0), maxMinute))
}

func timeOf(minute uint32) time.Time {
	return minuteZero.Add(time.Duration(minute) * time.Minute)
}

// location is where a record is: the number of its segment and its offset in
// it, in units of recordAlign bytes. No record is at offset 0, so that 0 is no
// location.
type location uint64

func locationOf(number uint32, offset int64) location {
	return location(uint64(number)<<32 | uint64(offset/recordAlign))
}

func (l location) segment() uint32 { return uint32(l >> 32) }
func (l location) offset() int64   { return int64(uint32(l)) * recordAlign }

// slot is what the index keeps of a blob, 24 bytes.
type slot struct {
	tag uint64
	loc location
	meta
}

// meta packs the minute of the last use (24 bits), whether that came after
// the record was written (1), whether it is an action result (1), and the
// logical size in bytes (38).
type meta uint64

const (
	metaTouched meta = 1 << minuteBits
	metaAC      meta = 1 << (minuteBits + 1)
	sizeShift        = minuteBits + 2
)

func metaOf(kind blobstore.Kind, size int64, minute uint32) meta {
	m := meta(size)<<sizeShift | meta(minute)
	if kind == blobstore.AC {
		m |= metaAC
	}
	return m
}

func (m meta) size() int64    { return int64(m >> sizeShift) }
func (m meta) minute() uint32 { return uint32(m & maxMinute) }
func (m meta) touched() bool  { return m&metaTouched != 0 }
func (m meta) ac() bool       { return m&metaAC != 0 }

// used returns m as after a use in that minute. Time does not go back.
func (m meta) used(minute uint32) meta {
	return m&^maxMinute | meta(max(minute, m.minute())) | metaTouched
}

// footEntry is what a footer keeps of a record, and what loading the index
// needs of it, packed into 32 bytes:
//
//	0: tag
//	1: version (48 bits), flags (8), nothing (8)
//	2: offset in units of recordAlign (32), stored size (32)
//	3: logical size (40), minute of the last use (24)
//
// The stored size is cut to 32 bits; only the single record of a segment of its
// own can have a larger one, which its header tells.
type footEntry [4]uint64

const (
	entryTombstone = 1
	entryAC        = 2

	maxEntryStored = 1<<32 - 1
)

func entryOf(tag uint64, h *header, offset int64) footEntry {
	var flags uint64
	if h.tombstone() {
		flags |= entryTombstone
	}
	if h.kind == byte(blobstore.AC) {
		flags |= entryAC
	}
	return footEntry{
		tag,
		h.version<<16 | flags<<8,
		uint64(offset/recordAlign)<<32 | uint64(min(h.stored, maxEntryStored)),
		uint64(h.logical)<<24 | uint64(h.minute&maxMinute),
	}
}

func (e *footEntry) tag() uint64     { return e[0] }
func (e *footEntry) version() uint64 { return e[1] >> 16 }
func (e *footEntry) tombstone() bool { return e[1]>>8&entryTombstone != 0 }
func (e *footEntry) ac() bool        { return e[1]>>8&entryAC != 0 }
func (e *footEntry) offset() int64   { return int64(e[2]>>32) * recordAlign }
func (e *footEntry) stored() int64   { return int64(uint32(e[2])) }
func (e *footEntry) size() int64     { return int64(e[3] >> 24) }
func (e *footEntry) minute() uint32  { return uint32(e[3] & maxMinute) }

func (e *footEntry) meta() meta {
	kind := blobstore.CAS
	if e.ac() {
		kind = blobstore.AC
	}
	return metaOf(kind, e.size(), e.minute())
}
