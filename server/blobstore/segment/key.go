package segment

import (
	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/server/blobstore"
)

// maxTagWords is how many words the longest key has.
const maxTagWords = 1 + digest.MaxHashSize/8 + (blobstore.MaxInstanceLen+7)/8

// tag is what the index knows of a key: a keyed hash of all of it but the
// size. The key of the hash is the store's own secret, so a client cannot make
// two keys of the same tag, or crowd one place of the index.
func (k sipKey) tag(key *blobstore.Key) uint64 {
	hash := key.Digest.Hash()
	first := uint64(key.Kind) | uint64(key.Digest.Function())<<8 | uint64(len(hash))<<16 | uint64(len(key.Instance))<<24
	if key.Instance == "" {
		var words [1 + digest.MaxHashSize/8]uint64
		return k.sum13(appendWords(append(words[:0], first), hash))
	}
	var words [maxTagWords]uint64
	return k.sum13(appendWords(appendWords(append(words[:0], first), hash), key.Instance))
}

// segmentKey is the key of the header codes of a segment with that salt.
func (k sipKey) segmentKey(salt uint64) sipKey {
	return sipKey{k.sum24([]uint64{salt, 1}), k.sum24([]uint64{salt, 2})}
}
