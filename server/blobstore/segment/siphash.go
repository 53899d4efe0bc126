package segment

import (
	"encoding/binary"
	"math/bits"
)

// sipKey is a 128-bit key of SipHash-2-4, a keyed 64-bit hash that nobody who
// lacks the key can find collisions of, or forge.
type sipKey struct{ k0, k1 uint64 }

// sipState absorbs 64-bit words. Its users give the lengths of what they
// absorb, so no two inputs become the same words.
type sipState struct {
	v0, v1, v2, v3 uint64
	words          uint64
}

func (k sipKey) start() sipState {
	return sipState{
		v0: k.k0 ^ 0x736f6d6570736575,
		v1: k.k1 ^ 0x646f72616e646f6d,
		v2: k.k0 ^ 0x6c7967656e657261,
		v3: k.k1 ^ 0x7465646279746573,
	}
}

func (s *sipState) round() {
	s.v0 += s.v1
	s.v1 = bits.RotateLeft64(s.v1, 13) ^ s.v0
	s.v0 = bits.RotateLeft64(s.v0, 32)
	s.v2 += s.v3
	s.v3 = bits.RotateLeft64(s.v3, 16) ^ s.v2
	s.v0 += s.v3
	s.v3 = bits.RotateLeft64(s.v3, 21) ^ s.v0
	s.v2 += s.v1
	s.v1 = bits.RotateLeft64(s.v1, 17) ^ s.v2
	s.v2 = bits.RotateLeft64(s.v2, 32)
}

func (s *sipState) word(m uint64) {
	s.v3 ^= m
	s.round()
	s.round()
	s.v0 ^= m
	s.words++
}

// bytes absorbs p, zero-padded to whole words.
func (s *sipState) bytes(p []byte) {
	for len(p) >= 8 {
		s.word(binary.LittleEndian.Uint64(p))
		p = p[8:]
	}
	if len(p) > 0 {
		var last [8]byte
		copy(last[:], p)
		s.word(binary.LittleEndian.Uint64(last[:]))
	}
}

func (s *sipState) sum() uint64 {
	s.word(s.words << 59) // the input's length in bytes modulo 256, as the algorithm ends
	s.v2 ^= 0xff
	for range 4 {
		s.round()
	}
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3
}
