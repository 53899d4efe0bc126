package segment

import (
	"encoding/binary"
	"math/bits"
)

// sipKey is a 128-bit key of SipHash, a keyed 64-bit hash that nobody who lacks
// the key can forge or find collisions of. What is hashed is made of 64-bit
// words that include the lengths of its parts, so no two inputs are the same
// words.
type sipKey struct{ k0, k1 uint64 }

func (k sipKey) start() (v0, v1, v2, v3 uint64) {
	return k.k0 ^ 0x736f6d6570736575, k.k1 ^ 0x646f72616e646f6d, k.k0 ^ 0x6c7967656e657261, k.k1 ^ 0x7465646279746573
}

func sipRound(v0, v1, v2, v3 uint64) (uint64, uint64, uint64, uint64) {
	v0 += v1
	v1 = bits.RotateLeft64(v1, 13) ^ v0
	v0 = bits.RotateLeft64(v0, 32)
	v2 += v3
	v3 = bits.RotateLeft64(v3, 16) ^ v2
	v0 += v3
	v3 = bits.RotateLeft64(v3, 21) ^ v0
	v2 += v1
	v1 = bits.RotateLeft64(v1, 17) ^ v2
	v2 = bits.RotateLeft64(v2, 32)
	return v0, v1, v2, v3
}

// sum24 is SipHash-2-4, the authors' choice for authentication.
func (k sipKey) sum24(words []uint64) uint64 {
	v0, v1, v2, v3 := k.start()
	for _, m := range words {
		v3 ^= m
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
		v0 ^= m
	}
	m := lengthWord(words)
	v3 ^= m
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0 ^= m
	v2 ^= 0xff
	for range 4 {
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	}
	return v0 ^ v1 ^ v2 ^ v3
}

// sum13 is SipHash-1-3, the usual choice for hash tables.
func (k sipKey) sum13(words []uint64) uint64 {
	v0, v1, v2, v3 := k.start()
	for _, m := range words {
		v3 ^= m
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
		v0 ^= m
	}
	m := lengthWord(words)
	v3 ^= m
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0 ^= m
	v2 ^= 0xff
	for range 3 {
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	}
	return v0 ^ v1 ^ v2 ^ v3
}

// lengthWord is the length of the input in bytes, modulo 256, as the algorithm
// ends.
func lengthWord(words []uint64) uint64 { return uint64(len(words)) << 59 }

// appendWords appends p, zero-padded to whole words.
func appendWords[T string | []byte](words []uint64, p T) []uint64 {
	var last [8]byte
	for len(p) >= 8 {
		copy(last[:], p)
		words = append(words, binary.LittleEndian.Uint64(last[:]))
		p = p[8:]
	}
	if len(p) > 0 {
		clear(last[:])
		copy(last[:], p)
		words = append(words, binary.LittleEndian.Uint64(last[:]))
	}
	return words
}
