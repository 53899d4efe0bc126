package segment

import (
	"context"
	"fmt"
	"io"

	"github.com/larder-build/larder/server/blobstore"
)

// crcWindow is how many CRCs of a large blob's table are in memory at once:
// those of 64 MiB.
const crcWindow = 1024

// reader reads a blob block by block, each checked before a byte of it is
// given out. It keeps its segment's file open.
type reader struct {
	s    *Store
	ctx  context.Context
	seg  *segment // nil when closed
	key  blobstore.Key
	slot slot

	data         int64 // where the stored bytes are in the file
	stored, size int64
	encoding     blobstore.Encoding
	pos          int64

	// block is a verified block, or all of a small blob, in buf; it begins at
	// the stored byte blockAt.
	buf     *buffer
	block   []byte
	blockAt int64
	// table has the CRCs from that of the block tableAt.
	tableBuf *buffer
	table    []byte
	tableAt  int64

	watched watched
}

var _ blobstore.MappedReader = (*reader)(nil)

func (r *reader) Size() int64                  { return r.size }
func (r *reader) StoredSize() int64            { return r.stored }
func (r *reader) Encoding() blobstore.Encoding { return r.encoding }

// SeekTo only notes the place; the block there is read by the next Read.
func (r *reader) SeekTo(offset int64) error {
	if offset < 0 || offset > r.stored {
		return fmt.Errorf("offset %d is not in the %d stored bytes of %v", offset, r.stored, r.key)
	}
	r.pos = offset
	return nil
}

// Read reads whole blocks straight into p where it can.
func (r *reader) Read(p []byte) (int, error) {
	if r.seg == nil {
		return 0, io.ErrClosedPipe
	}
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if r.pos == r.stored {
		return 0, io.EOF
	}
	if n := r.direct(len(p)); n > 0 {
		if err := r.readBlocks(p[:n], r.pos); err != nil {
			return 0, err
		}
		r.pos += int64(n)
		return n, nil
	}
	if err := r.load(); err != nil {
		return 0, err
	}
	n := copy(p, r.block[r.pos-r.blockAt:])
	r.pos += int64(n)
	return n, nil
}

// direct is how many bytes, of whole blocks, can be read into a slice of n
// bytes. It is none where the block in memory serves.
func (r *reader) direct(n int) int {
	if r.pos%blobstore.ReadBlock != 0 || r.holds(r.pos) {
		return 0
	}
	if left := r.stored - r.pos; int64(n) >= left {
		n = int(left)
	} else {
		n -= n % blobstore.ReadBlock
	}
	// No more at once than the table's window has CRCs of.
	return min(n, crcWindow*blobstore.ReadBlock)
}

func (r *reader) holds(pos int64) bool {
	return pos >= r.blockAt && pos < r.blockAt+int64(len(r.block))
}

// load makes the block of the position the one in memory.
func (r *reader) load() error {
	if r.holds(r.pos) {
		return nil
	}
	at := r.pos - r.pos%blobstore.ReadBlock
	n := min(r.stored-at, blobstore.ReadBlock)
	if r.buf == nil {
		r.buf = r.s.buffers.get(int(min(r.stored, blobstore.ReadBlock)))
	}
	r.block = nil
	if err := r.readBlocks(r.buf.b[:n], at); err != nil {
		return err
	}
	r.block, r.blockAt = r.buf.b[:n], at
	return nil
}

// readBlocks reads and checks whole blocks from the stored byte at.
func (r *reader) readBlocks(p []byte, at int64) error {
	crcs, err := r.crcs(at/blobstore.ReadBlock, blocksOf(int64(len(p))))
	if err != nil {
		return err
	}
	if _, err := r.seg.f.ReadAt(p, r.data+at); err != nil {
		return r.failed(err)
	}
	if !crcMatches(p, crcs) {
		return r.corrupt(fmt.Sprintf("data from byte %d does not match its checksum", at))
	}
	r.noteChecked(at, int64(len(p)))
	return nil
}

// crcs returns the CRCs of n blocks, n at most crcWindow.
func (r *reader) crcs(block, n int64) ([]byte, error) {
	if block < r.tableAt || (block+n-r.tableAt)*crcSize > int64(len(r.table)) {
		if err := r.loadTable(block); err != nil {
			return nil, err
		}
	}
	from := (block - r.tableAt) * crcSize
	return r.table[from : from+n*crcSize], nil
}

func (r *reader) loadTable(block int64) error {
	n := int(min(blocksOf(r.stored)-block, crcWindow)) * crcSize
	if r.tableBuf == nil {
		r.tableBuf = r.s.buffers.get(n)
	}
	r.table = r.tableBuf.b[:0]
	if _, err := r.seg.f.ReadAt(r.tableBuf.b[:n], r.data+r.stored+block*crcSize); err != nil {
		return r.failed(err)
	}
	r.table, r.tableAt = r.tableBuf.b[:n], block
	return nil
}

// Close lets the segment go.
func (r *reader) Close() error {
	if r.seg == nil {
		return nil
	}
	r.seg.release(r.s.fds)
	r.s.buffers.put(r.buf)
	r.s.buffers.put(r.tableBuf)
	r.seg, r.buf, r.tableBuf, r.block = nil, nil, nil, nil
	return nil
}
