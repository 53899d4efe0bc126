package codec

import (
	"math/bits"
	"sync"

	"google.golang.org/grpc/mem"
)

// Pool lends the buffers that responses are written into. Unlike gRPC's own
// pools it does not clear them, which would cost as much as the copy it saves.
var Pool mem.BufferPool = new(bufferPool)

const (
	// minPooled is the smallest buffer worth keeping: gRPC does not give back
	// smaller ones.
	minPooled = 2 << 10
	// slack is room for a message's header beyond a class's power of two, so
	// that a block of 64 KiB and its header fit the class of 64 KiB.
	slack = 256

	minClass = 11 // 1<<11 = minPooled
	// maxClass is that of the largest buffers that are kept, of 8 MiB; larger
	// ones are left to the garbage collector.
	maxClass = 23
)

// bufferPool keeps buffers in classes of a power of two and slack.
type bufferPool struct {
	classes [maxClass - minClass + 1]sync.Pool
}

// Get returns a buffer of that length, with any content.
func (p *bufferPool) Get(length int) *[]byte {
	c := class(length)
	if length <= minPooled/2 || c > maxClass {
		b := make([]byte, length)
		return &b
	}
	if b, ok := p.classes[c-minClass].Get().(*[]byte); ok {
		*b = (*b)[:length]
		return b
	}
	b := make([]byte, length, 1<<c+slack)
	return &b
}

// Put takes a buffer back that Get returned.
func (p *bufferPool) Put(b *[]byte) {
	c := class(cap(*b))
	if c < minClass || c > maxClass || cap(*b) != 1<<c+slack {
		return
	}
	p.classes[c-minClass].Put(b)
}

// class returns the least class whose buffers hold length bytes.
func class(length int) int {
	return max(minClass, bits.Len(uint(max(length-slack-1, 0))))
}
