package digest

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"hash"
	"math/bits"
)

// treeLeaf is the size in bytes of the parts that SHA256TREE hashes with plain
// SHA-256.
const treeLeaf = 1024

// treeIV is what SHA256TREE starts the block cipher of a parent from
// (remote_execution.proto, DigestFunction.SHA256TREE).
var treeIV = [8]uint32{
	0xcbbb9d5d, 0x629a292a, 0x9159015a, 0x152fecd8,
	0x67332667, 0x8eb44a87, 0xdb0c2e0d, 0x47b5481d,
}

// treeHash computes SHA256TREE: the content is cut into leaves of 1 KiB, and
// the hashes of a left part of the largest power of two below the whole and
// of the right rest are joined by one run of SHA-256's block cipher.
//
// It keeps the hashes of complete subtrees on a stack, one per set bit of the
// number of finished leaves, and the last leaf unfinished, because only more
// content tells whether it is the last.
type treeHash struct {
	leaf    [treeLeaf]byte
	leafLen int
	leaves  uint64 // finished
	stack   [64][sha256.Size]byte
	depth   int
	join    treeJoiner
}

func newTreeHash() *treeHash { return &treeHash{join: newTreeJoiner()} }

func (t *treeHash) Size() int      { return sha256.Size }
func (t *treeHash) BlockSize() int { return treeLeaf }
func (t *treeHash) Reset()         { t.leafLen, t.leaves, t.depth = 0, 0, 0 }

func (t *treeHash) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if t.leafLen == treeLeaf {
			t.finishLeaf(t.leaf[:])
			t.leafLen = 0
		}
		for t.leafLen == 0 && len(p) > treeLeaf {
			t.finishLeaf(p[:treeLeaf])
			p = p[treeLeaf:]
		}
		c := copy(t.leaf[t.leafLen:], p)
		t.leafLen += c
		p = p[c:]
	}
	return n, nil
}

// finishLeaf pushes the hash of a leaf that is not the last and joins what is
// complete.
func (t *treeHash) finishLeaf(leaf []byte) {
	sum := sha256.Sum256(leaf)
	t.leaves++
	for range bits.TrailingZeros64(t.leaves) {
		t.depth--
		sum = t.join.join(&t.stack[t.depth], &sum)
	}
	t.stack[t.depth] = sum
	t.depth++
}

// Sum appends the hash of what was written. It does not change the state.
func (t *treeHash) Sum(b []byte) []byte {
	sum := sha256.Sum256(t.leaf[:t.leafLen])
	for i := t.depth - 1; i >= 0; i-- {
		sum = t.join.join(&t.stack[i], &sum)
	}
	return append(b, sum[:]...)
}

// treeJoiner runs SHA-256's block cipher on one block from treeIV. The
// standard library keeps the cipher to itself, so it is reached through the
// saved state of a SHA-256: set the chaining value in it, write one block, and
// take off what the Davies-Meyer structure adds.
type treeJoiner struct {
	h     hash.Hash
	start []byte                // the state before the block
	end   []byte                // scratch
	block [2 * sha256.Size]byte // scratch
}

// The saved state of crypto/sha256 is a magic of 4 bytes, the chaining value,
// a block and a length.
const treeChaining = 4

func newTreeJoiner() treeJoiner {
	j := treeJoiner{h: sha256.New()}
	j.start = j.state(nil)
	for i, v := range treeIV {
		binary.BigEndian.PutUint32(j.start[treeChaining+4*i:], v)
	}
	j.end = make([]byte, 0, len(j.start))
	return j
}

func (j *treeJoiner) state(b []byte) []byte {
	b, err := j.h.(encoding.BinaryAppender).AppendBinary(b)
	if err != nil {
		panic("digest: SHA-256 cannot save its state: " + err.Error())
	}
	return b
}

func (j *treeJoiner) join(left, right *[sha256.Size]byte) (sum [sha256.Size]byte) {
	if err := j.h.(encoding.BinaryUnmarshaler).UnmarshalBinary(j.start); err != nil {
		panic("digest: SHA-256 cannot load its state: " + err.Error())
	}
	copy(j.block[:], left[:])
	copy(j.block[sha256.Size:], right[:])
	j.h.Write(j.block[:])
	j.end = j.state(j.end[:0])
	for i, v := range treeIV {
		chained := binary.BigEndian.Uint32(j.end[treeChaining+4*i:])
		binary.BigEndian.PutUint32(sum[4*i:], chained-v)
	}
	return sum
}
