package segment

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/larder-build/larder/server/blobstore"
)

// crcTable makes the CRC table of data that comes in pieces of any length.
type crcTable struct {
	table []byte
	crc   uint32
	n     int // bytes of the last block
}

func (t *crcTable) add(p []byte) {
	for len(p) > 0 {
		n := min(len(p), blobstore.ReadBlock-t.n)
		t.crc = crc32.Update(t.crc, castagnoli, p[:n])
		t.n += n
		p = p[n:]
		if t.n == blobstore.ReadBlock {
			t.end()
		}
	}
}

func (t *crcTable) end() {
	t.table = binary.LittleEndian.AppendUint32(t.table, t.crc)
	t.crc, t.n = 0, 0
}

// finish returns the table. Nothing can be added then.
func (t *crcTable) finish() []byte {
	if t.n > 0 {
		t.end()
	}
	return t.table
}
