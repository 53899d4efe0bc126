package segment

import (
	"sync"
	"sync/atomic"

	"github.com/larder-build/larder/server/blobstore"
)

// The sizes of pooled buffers in bytes. recordBuffer holds a whole record of
// one block, the largest a compressed blob until its length is known.
const (
	recordBuffer = blobstore.ReadBlock + 4<<10
	largeBuffer  = 1 << 20
)

var bufferClasses = [...]int{4 << 10, 16 << 10, recordBuffer, 256 << 10, largeBuffer}

// writerBufferBytes bounds the memory of all writers' buffers together. A
// writer that gets none still works: it writes what it is given as it comes.
const writerBufferBytes = 64 << 20

// buffer is a pooled slice.
type buffer struct {
	b     []byte
	class int
}

// buffers lends memory.
type buffers struct {
	pools  [len(bufferClasses)]sync.Pool
	writer atomic.Int64 // bytes lent to writers
}

// get returns a buffer of at least n bytes, of at most the largest class.
func (p *buffers) get(n int) *buffer {
	class := len(bufferClasses) - 1
	for c, size := range bufferClasses {
		if n <= size {
			class = c
			break
		}
	}
	if b, ok := p.pools[class].Get().(*buffer); ok {
		return b
	}
	return &buffer{b: make([]byte, bufferClasses[class]), class: class}
}

func (p *buffers) put(b *buffer) {
	if b != nil {
		p.pools[b.class].Put(b)
	}
}

// lend is get for a writer; it returns nil when writers have all they may have.
func (p *buffers) lend(n int) *buffer {
	b := p.get(n)
	if p.writer.Add(int64(len(b.b))) > writerBufferBytes {
		p.takeBack(b)
		return nil
	}
	return b
}

func (p *buffers) takeBack(b *buffer) {
	if b != nil {
		p.writer.Add(-int64(len(b.b)))
		p.put(b)
	}
}
