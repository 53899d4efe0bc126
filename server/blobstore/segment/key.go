package segment

import (
	"encoding/binary"

	"github.com/larder-build/larder/server/blobstore"
)

// tag is what the index knows of a key: a keyed hash of all of it but the
// size. The key of the hash is the store's own secret, so a client cannot make
// two keys of the same tag, or crowd one place of the index.
func (k sipKey) tag(key *blobstore.Key) uint64 {
	hash := key.Digest.Hash()
	s := k.start()
	s.word(uint64(key.Kind) | uint64(key.Digest.Function())<<8 | uint64(len(hash))<<16 | uint64(len(key.Instance))<<24)
	s.bytes(hash)
	s.string(key.Instance)
	return s.sum()
}

// string is bytes without a copy of s on the heap.
func (s *sipState) string(p string) {
	var word [8]byte
	for len(p) > 0 {
		clear(word[:])
		p = p[copy(word[:], p):]
		s.word(binary.LittleEndian.Uint64(word[:]))
	}
}

// segmentKey is the key of the header codes of a segment with that salt.
func (k sipKey) segmentKey(salt uint64) sipKey {
	derive := func(n uint64) uint64 {
		s := k.start()
		s.word(salt)
		s.word(n)
		return s.sum()
	}
	return sipKey{derive(1), derive(2)}
}
