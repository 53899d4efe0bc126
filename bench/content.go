package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"math/rand/v2"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
)

const (
	// maxBlobBytes is the size of the largest blob of any workload.
	maxBlobBytes = 32 << 20
	// tailBytes is the length of the end of a blob that differs from all other
	// blobs of its size; it is also the size of the smallest blob.
	tailBytes = 16
)

// contents makes blobs that are all different and cost nearly nothing to make:
// a blob of n bytes is the first n bytes of one common text, but for its last
// tailBytes, which are its own. The text is about as compressible as object
// code. Everything follows from the seed.
type contents struct {
	seed     uint64
	template []byte
	// prefixes are the running hashes of the text up to a blob's tail, by the
	// blob's size, so that hashing a blob is hashing its tail.
	prefixes map[int]hash.Cloner
}

// newContents returns contents of blobs of up to largest bytes.
func newContents(seed uint64, largest int) *contents {
	return &contents{seed: seed, template: newTemplate(seed, largest), prefixes: make(map[int]hash.Cloner)}
}

// newTemplate returns n bytes of words from a small vocabulary with random
// bytes between them. The vocabulary changes on the way, so that little can be
// had from afar and small blobs are as compressible as large ones.
func newTemplate(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	words := make([][]byte, 64)
	for i := range words {
		words[i] = randomBytes(r, 4+r.IntN(12))
	}
	out := make([]byte, 0, n+64)
	for len(out) < n {
		out = append(out, words[r.IntN(len(words))]...)
		switch r.IntN(8) {
		case 0, 1:
			out = append(out, randomBytes(r, 8)...)
		case 2:
			words[r.IntN(len(words))] = randomBytes(r, 4+r.IntN(12))
		}
	}
	return out[:n]
}

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, 0, n+8)
	for len(b) < n {
		b = binary.LittleEndian.AppendUint64(b, r.Uint64())
	}
	return b[:n]
}

// blobID names one blob: there is one of every size and serial number.
type blobID struct {
	size   int
	serial uint64
}

func (c *contents) tail(serial uint64) (t [tailBytes]byte) {
	binary.BigEndian.PutUint64(t[:8], c.seed)
	binary.BigEndian.PutUint64(t[8:], serial)
	return t
}

// digest returns the blob's digest. It is not for concurrent use.
func (c *contents) digest(id blobID) *repb.Digest {
	prefix, ok := c.prefixes[id.size]
	if !ok {
		h := sha256.New()
		h.Write(c.template[:id.size-tailBytes])
		prefix = h.(hash.Cloner)
		c.prefixes[id.size] = prefix
	}
	h, err := prefix.Clone()
	if err != nil {
		panic(err) // crypto/sha256 clones without fail
	}
	tail := c.tail(id.serial)
	h.Write(tail[:])
	return &repb.Digest{Hash: hex.EncodeToString(h.Sum(nil)), SizeBytes: int64(id.size)}
}

// fill makes dst the blob of that serial number and of dst's length.
func (c *contents) fill(dst []byte, serial uint64) {
	tail := c.tail(serial)
	n := copy(dst, c.template[:len(dst)-tailBytes])
	copy(dst[n:], tail[:])
}

// buffer holds one blob at a time, for one caller.
type buffer struct {
	contents *contents
	bytes    []byte
	end      int // of the blob that stands in it, whose tail is not the text's
}

// blob returns the blob, valid until the next call. Only tails are written.
func (b *buffer) blob(id blobID) []byte {
	if len(b.bytes) < id.size {
		b.bytes = append([]byte(nil), b.contents.template[:id.size]...)
	} else if b.end > 0 {
		from := b.end - tailBytes
		copy(b.bytes[from:b.end], b.contents.template[from:b.end])
	}
	tail := b.contents.tail(id.serial)
	copy(b.bytes[id.size-tailBytes:id.size], tail[:])
	b.end = id.size
	return b.bytes[:id.size]
}

// scatter maps a counter to an even spread over 0 to n-1, the same every time.
func scatter(i uint64, n int) int {
	i += 0x9e3779b97f4a7c15
	i = (i ^ i>>30) * 0xbf58476d1ce4e5b9
	i = (i ^ i>>27) * 0x94d049bb133111eb
	return int((i ^ i>>31) % uint64(n))
}
