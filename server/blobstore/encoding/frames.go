package encoding

import (
	"encoding/binary"
	"fmt"
)

// The parts of a zstd stream (RFC 8878, 3.1), as far as their borders go.
const (
	frameMagic     = 0xFD2FB528
	skippableMagic = 0x184D2A50 // to 0x184D2A5F
	magicSize      = 4
	// maxFrameHeader is the size of the longest frame header, magic included.
	maxFrameHeader  = 18
	blockHeaderSize = 3
	checksumSize    = 4
	rleBlock        = 1
	reservedBlock   = 3
	// minWindow is the smallest window in bytes, also of a smaller frame.
	minWindow = 1 << 10
)

// windowError refuses a frame for its window.
type windowError struct{ window uint64 }

func (e *windowError) Error() string {
	return fmt.Sprintf("zstd frame has a window of %d bytes, this server decodes at most %d", e.window, int64(MaxWindow))
}

// frames follows a zstd stream from frame to frame without decoding it, and
// learns the window of each before a decoder allocates it. What is no zstd it
// leaves to the decoder to refuse.
type frames struct {
	// onWindow is called with the window of each frame; its error ends all.
	onWindow func(window uint64) error

	expect part
	skip   uint64 // bytes to pass over before that part
	head   [maxFrameHeader]byte
	n      int  // bytes of the part in head
	check  bool // the frame ends in a checksum
}

// part is what comes next in a stream.
type part uint8

const (
	frameHeader part = iota
	blockHeader
	anything // the stream is no zstd
)

// pass follows the next bytes of the stream.
func (f *frames) pass(p []byte) error {
	for len(p) > 0 && f.expect != anything {
		if f.skip > 0 {
			k := min(uint64(len(p)), f.skip)
			f.skip -= k
			p = p[k:]
			continue
		}
		k := copy(f.head[f.n:f.want()], p)
		f.n += k
		p = p[k:]
		if f.n < f.want() {
			continue
		}
		if err := f.header(); err != nil {
			return err
		}
	}
	return nil
}

// want returns how long the header that head begins is, as far as head tells.
func (f *frames) want() int {
	switch {
	case f.expect == blockHeader:
		return blockHeaderSize
	case f.n < magicSize:
		return magicSize
	case f.skippable():
		return magicSize + 4
	case f.n == magicSize:
		return magicSize + 1
	}
	window, dict, size := f.fields()
	return magicSize + 1 + window + dict + size
}

func (f *frames) magic() uint32   { return binary.LittleEndian.Uint32(f.head[:]) }
func (f *frames) skippable() bool { return f.magic()&^0xF == skippableMagic }

// fields returns the sizes of the optional fields of a frame header.
func (f *frames) fields() (window, dict, size int) {
	descriptor := f.head[magicSize]
	single := descriptor&(1<<5) != 0
	if !single {
		window = 1
	}
	dict = [4]int{0, 1, 2, 4}[descriptor&3]
	switch c := descriptor >> 6; {
	case c > 0:
		size = 1 << c
	case single:
		size = 1
	}
	return window, dict, size
}

// header takes the header that is complete in head.
func (f *frames) header() error {
	f.n = 0
	switch {
	case f.expect == blockHeader:
		f.block()
	case f.skippable():
		f.skip = uint64(binary.LittleEndian.Uint32(f.head[magicSize:]))
	case f.magic() != frameMagic:
		f.expect = anything
	default:
		f.expect = blockHeader
		f.check = f.head[magicSize]&(1<<2) != 0
		return f.onWindow(f.window())
	}
	return nil
}

// window returns the window of the frame whose header is in head; of a frame in
// a single segment it is the content.
func (f *frames) window() uint64 {
	window, dict, size := f.fields()
	if window == 1 {
		d := f.head[magicSize+1]
		base := uint64(1) << (10 + d>>3)
		return base + base/8*uint64(d&7)
	}
	var b [8]byte
	copy(b[:size], f.head[magicSize+1+dict:])
	n := binary.LittleEndian.Uint64(b[:])
	if size == 2 {
		n += 256
	}
	return max(n, minWindow)
}

// block takes the block header in head.
func (f *frames) block() {
	h := uint32(f.head[0]) | uint32(f.head[1])<<8 | uint32(f.head[2])<<16
	f.skip = uint64(h >> 3)
	switch h >> 1 & 3 {
	case rleBlock:
		f.skip = 1
	case reservedBlock:
		f.expect = anything
		return
	}
	if h&1 == 0 {
		return
	}
	f.expect = frameHeader
	if f.check {
		f.skip += checksumSize
	}
}

// largestWindow returns the largest window of the frames that begin in p.
func largestWindow(p []byte) uint64 {
	var largest uint64
	f := frames{onWindow: func(w uint64) error {
		largest = max(largest, w)
		return nil
	}}
	_ = f.pass(p)
	return largest
}
