package segment

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/bits"
	"time"
)

const (
	// MinMaxBytes is the least Options.MaxBytes.
	MinMaxBytes = 1 << 20

	minSegment        = 64 << 10
	maxSegment        = 1 << 30
	minDefaultSegment = 4 << 20
	maxDefaultSegment = 256 << 20
	// segmentShare is the number of segments in a store, if not bounded.
	segmentShare = 64
	// fewestSegments is how many segments a store must have room for, as
	// one is written to and half of another may be carried over.
	fewestSegments = 4
)

// complete checks the options and fills in what is not set.
func (o *Options) complete() error {
	if o.Dir == "" {
		return errors.New("no directory is given")
	}
	if o.MaxBytes != 0 && o.MaxBytes < MinMaxBytes {
		return fmt.Errorf("a size of %d bytes is less than the least, %d", o.MaxBytes, MinMaxBytes)
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = defaultSegment(o.MaxBytes)
	}
	switch s := o.SegmentBytes; {
	case s < minSegment || s > maxSegment:
		return fmt.Errorf("a segment size of %d bytes is not within %d and %d", s, minSegment, maxSegment)
	case o.MaxBytes > 0 && s > o.MaxBytes/fewestSegments:
		return fmt.Errorf("a segment size of %d bytes is more than a quarter of the store's %d", s, o.MaxBytes)
	case o.Sync > SyncOff:
		return fmt.Errorf("%v is unknown", o.Sync)
	case o.MinTTL < 0 || o.SyncInterval < 0 || o.MinFreeBytes < 0:
		return fmt.Errorf("negative setting: minimum lifetime %v, sync interval %v, free bytes %d", o.MinTTL, o.SyncInterval, o.MinFreeBytes)
	}
	o.fillIn()
	return nil
}

func (o *Options) fillIn() {
	if o.SyncInterval == 0 {
		o.SyncInterval = time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.fsys == nil {
		o.fsys = osFiles{o.Dir}
	}
	if o.now == nil {
		o.now = time.Now
	}
}

// defaultSegment is a power of two.
func defaultSegment(maxBytes int64) int64 {
	if maxBytes == 0 {
		return maxDefaultSegment
	}
	size := min(max(floorPower(maxBytes/segmentShare), minDefaultSegment), maxDefaultSegment)
	return min(size, floorPower(maxBytes/(2*fewestSegments)))
}

func floorPower(n int64) int64 { return 1 << (bits.Len64(uint64(n)) - 1) }

// limits are what follows from the options, in bytes.
type limits struct {
	segmentBytes int64
	allocStep    int64
	batchBytes   int64
	// carryLimit is the most that is ever on disk, writeLimit the most that
	// writers fill it to: between them is the room for what is carried over.
	// Above lowWater there is eviction in the background.
	carryLimit, writeLimit, lowWater int64
	maxBlob                          int64
	// creditLimit bounds how many bytes of large blobs are kept in a row.
	creditLimit int64
}

func (o *Options) limits() limits {
	l := limits{
		segmentBytes: o.SegmentBytes &^ (recordAlign - 1),
		carryLimit:   math.MaxInt64, writeLimit: math.MaxInt64, lowWater: math.MaxInt64,
		maxBlob: maxLogical, creditLimit: math.MaxInt64 / 2,
	}
	l.allocStep = min(maxAllocStep, l.segmentBytes/8)
	l.batchBytes = min(batchBytes, l.segmentBytes/4)
	if o.MaxBytes > 0 {
		l.carryLimit = o.MaxBytes
		l.writeLimit = o.MaxBytes - l.segmentBytes*3/4
		l.creditLimit = o.MaxBytes / 2
		l.lowWater = l.writeLimit - l.segmentBytes
		// A blob must fit beside the segment that is written to, with its header
		// and its CRCs, or as a zstd stream of what does not compress.
		room := l.lowWater - maxHeaderLen - 2*dataStart - footerLen(1) - zstdSlack - pageSize
		l.maxBlob = min(l.maxBlob, room-room/128)
	}
	return l
}
