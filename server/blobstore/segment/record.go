package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/server/blobstore"
)

// A record is a header, the blob's stored bytes and a CRC-32C of each of their
// blocks of blobstore.ReadBlock bytes, all little-endian and padded to
// recordAlign. docs/formats.md has the offsets.
const (
	recordMagic  = 0x3143524c // "LRC1"
	recordAlign  = 8
	fixedHeader  = 56
	macOffset    = 48
	maxHeaderLen = (fixedHeader + digest.MaxHashSize + blobstore.MaxInstanceLen + recordAlign - 1) &^ (recordAlign - 1)
	crcSize      = 4

	// flagTombstone marks a record without data that makes every record of
	// its tag and of a version up to its own dead.
	flagTombstone = 1
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)

	errNoRecord  = errors.New("no record header")
	errBadHeader = errors.New("record header does not match its code")
)

// header is a record's header. Hash and instance alias the bytes it was parsed
// from.
type header struct {
	kind, function, encoding, flags byte
	// minute is the last use known when the record was written.
	minute uint32
	// logical and stored are sizes in bytes.
	logical, stored int64
	// written is when the blob was first written, in Unix seconds.
	written int64
	// version orders the records of one key.
	version  uint64
	hash     []byte
	instance []byte
}

func headerOf(b *blobstore.Spec, stored int64) header {
	return header{
		kind: byte(b.Key.Kind), function: byte(b.Key.Digest.Function()), encoding: byte(b.Encoding),
		logical: b.Size, stored: stored, hash: b.Key.Digest.Hash(), instance: []byte(b.Key.Instance),
	}
}

func tombstoneHeader(tag, version uint64) header {
	return header{flags: flagTombstone, version: version, hash: binary.LittleEndian.AppendUint64(nil, tag)}
}

func (h *header) tombstone() bool { return h.flags&flagTombstone != 0 }

// matches reports whether the record is of that key. Sizes are not compared.
func (h *header) matches(key *blobstore.Key) bool {
	return h.kind == byte(key.Kind) && h.function == byte(key.Digest.Function()) && !h.tombstone() &&
		bytes.Equal(h.hash, key.Digest.Hash()) && string(h.instance) == key.Instance
}

// key rebuilds the record's key.
func (h *header) key() (blobstore.Key, error) {
	size := h.logical
	if h.kind != byte(blobstore.CAS) {
		size = 0
	}
	d, err := digest.New(digest.Function(h.function), h.hash, size)
	return blobstore.Key{Digest: d, Kind: blobstore.Kind(h.kind), Instance: string(h.instance)}, err
}

// tag returns the tag of the record's key.
func (h *header) tag(k sipKey) (uint64, error) {
	if h.tombstone() {
		return binary.LittleEndian.Uint64(h.hash), nil
	}
	key, err := h.key()
	if err != nil {
		return 0, err
	}
	return k.tag(&key), nil
}

func align(n int64) int64 { return (n + recordAlign - 1) &^ (recordAlign - 1) }

// headerLen is the length of the header of a key, which is where its data is.
func headerLen(hashLen, instanceLen int) int64 {
	return align(int64(fixedHeader + hashLen + instanceLen))
}

func keyHeaderLen(key *blobstore.Key) int64 {
	return headerLen(len(key.Digest.Hash()), len(key.Instance))
}

// blocksOf is the number of blocks, and so of CRCs, of that many stored bytes.
func blocksOf(stored int64) int64 {
	return (stored + blobstore.ReadBlock - 1) / blobstore.ReadBlock
}

// recordLen is the length in bytes of the record of a key.
func recordLen(headerLen, stored int64) int64 {
	return align(headerLen + stored + crcSize*blocksOf(stored))
}

func (h *header) len() int64       { return headerLen(len(h.hash), len(h.instance)) }
func (h *header) recordLen() int64 { return recordLen(h.len(), h.stored) }

// append appends the header of a record that will be at that offset of the
// segment with that key.
func (h *header) append(dst []byte, mac sipKey, offset int64) []byte {
	start := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, recordMagic)
	dst = append(dst, h.kind, h.function, h.encoding, h.flags, byte(len(h.hash)), byte(len(h.instance)), 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, h.minute)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.logical))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.stored))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.written))
	dst = binary.LittleEndian.AppendUint64(dst, h.version)
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	dst = append(dst, h.hash...)
	dst = append(dst, h.instance...)
	for int64(len(dst)-start) < h.len() {
		dst = append(dst, 0)
	}
	binary.LittleEndian.PutUint64(dst[start+macOffset:], headerCode(dst[start:], mac, offset))
	return dst
}

// headerCode authenticates a header at its place. A keyed hash instead of a
// checksum: what a client uploads is scanned too when a store recovers, and
// must never be taken for a record. It needs the segment's secret salt, and
// holds only at the offset it was made for.
func headerCode(b []byte, mac sipKey, offset int64) uint64 {
	var words [1 + maxHeaderLen/8]uint64
	return mac.sum24(appendWords(appendWords(append(words[:0], uint64(offset)), b[:macOffset]), b[fixedHeader:]))
}

// parseHeader reads the header of a record at that offset. It needs all of the
// header in b, so maxHeaderLen bytes, or what there is in the file.
func parseHeader(b []byte, mac sipKey, offset int64) (header, error) {
	if len(b) < fixedHeader || binary.LittleEndian.Uint32(b) != recordMagic {
		return header{}, errNoRecord
	}
	hashLen, instanceLen := int(b[8]), int(b[9])
	n := headerLen(hashLen, instanceLen)
	if int64(len(b)) < n || binary.LittleEndian.Uint64(b[macOffset:]) != headerCode(b[:n], mac, offset) {
		return header{}, errBadHeader
	}
	h := header{
		kind: b[4], function: b[5], encoding: b[6], flags: b[7],
		minute:   binary.LittleEndian.Uint32(b[12:]),
		logical:  int64(binary.LittleEndian.Uint64(b[16:])),
		stored:   int64(binary.LittleEndian.Uint64(b[24:])),
		written:  int64(binary.LittleEndian.Uint64(b[32:])),
		version:  binary.LittleEndian.Uint64(b[40:]),
		hash:     b[fixedHeader : fixedHeader+hashLen],
		instance: b[fixedHeader+hashLen : fixedHeader+hashLen+instanceLen],
	}
	return h, h.check()
}

// check refuses what no writer writes, for a header that is authentic and
// still makes no sense comes from a newer or a broken program.
func (h *header) check() error {
	if h.tombstone() {
		if len(h.hash) != 8 || h.stored != 0 {
			return errBadHeader
		}
		return nil
	}
	if h.logical < 0 || h.logical > maxLogical || h.stored < 0 || h.stored > maxStored || h.version > maxVersion ||
		h.kind != byte(blobstore.CAS) && h.kind != byte(blobstore.AC) || h.encoding > byte(blobstore.Zstd) ||
		len(h.hash) == 0 || len(h.hash) != digest.Function(h.function).HashSize() {
		return errBadHeader
	}
	return nil
}

// appendCRCs appends the CRC table of data.
func appendCRCs(dst, data []byte) []byte {
	for len(data) > 0 {
		n := min(len(data), blobstore.ReadBlock)
		dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(data[:n], castagnoli))
		data = data[n:]
	}
	return dst
}

// crcMatches checks data, whole blocks from the begin of one, against the CRCs
// of those blocks.
func crcMatches(data, table []byte) bool {
	for len(data) > 0 {
		n := min(len(data), blobstore.ReadBlock)
		if len(table) < crcSize || crc32.Checksum(data[:n], castagnoli) != binary.LittleEndian.Uint32(table) {
			return false
		}
		data, table = data[n:], table[crcSize:]
	}
	return true
}
