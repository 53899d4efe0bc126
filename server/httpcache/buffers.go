package httpcache

import "sync"

const (
	// bufferSize is the size in bytes of the buffer that a large body goes
	// through. An upload below that size is stored in one write.
	bufferSize = 256 << 10
	// smallBufferSize is that of a body known to be small, so that many waiting
	// requests do not take much memory.
	smallBufferSize = 16 << 10
)

// buffers are pools of both sizes. The zero value is ready.
type buffers struct{ small, large sync.Pool } // of *[]byte

// get returns a buffer for a body of that length, -1 if it is not known. The
// buffer is longer than the body, or of bufferSize.
func (b *buffers) get(length int64) *[]byte {
	pool, size := &b.large, bufferSize
	if length >= 0 && length < smallBufferSize {
		pool, size = &b.small, smallBufferSize
	}
	if buf, ok := pool.Get().(*[]byte); ok {
		return buf
	}
	buf := make([]byte, size)
	return &buf
}

func (b *buffers) put(buf *[]byte) {
	if len(*buf) == smallBufferSize {
		b.small.Put(buf)
		return
	}
	b.large.Put(buf)
}
