// Package digest holds the identity of a blob: the hash of its bytes under one
// of the protocol's digest functions, and its size.
//
// A Digest is a comparable value of fixed size that only the parsers of this
// package make, so one that exists is well formed: its hash has the length of
// its function's hashes and its size is not negative (or is SizeUnknown, where
// a caller asked for that). The zero Digest is invalid.
package digest

import (
	"encoding/hex"
	"fmt"
)

// SizeUnknown is the size of a digest whose size the client did not tell, as
// in an HTTP request for /cas/<hash>. Only look-ups take such a digest.
const SizeUnknown = -1

// Digest identifies a blob by digest function, hash and size in bytes. Values
// compare with ==.
type Digest struct {
	size int64
	hash [MaxHashSize]byte // zero past the function's hash size
	fn   Function
}

// New returns the digest of the given raw hash and size. Size may be
// SizeUnknown.
func New(fn Function, hash []byte, size int64) (Digest, error) {
	var d Digest
	if n := fn.HashSize(); n == 0 || len(hash) != n {
		return d, fmt.Errorf("a %v hash has %d bytes, not %d", fn, n, len(hash))
	}
	if size < SizeUnknown {
		return d, fmt.Errorf("size_bytes %d is negative", size)
	}
	d.fn, d.size = fn, size
	copy(d.hash[:], hash)
	return d, nil
}

// Parse returns the digest of a hash in lower-case hex, as the protocol writes
// it, and a size in bytes. Size must not be negative; it may be SizeUnknown
// only through ParseHash.
func Parse[S string | []byte](fn Function, hexHash S, size int64) (Digest, error) {
	if size < 0 {
		return Digest{}, fmt.Errorf("digest %.140q: size_bytes %d is negative", string(hexHash), size)
	}
	return parse(fn, hexHash, size)
}

// ParseHash returns the digest of a hash in lower-case hex, with its size
// unknown.
func ParseHash[S string | []byte](fn Function, hexHash S) (Digest, error) {
	return parse(fn, hexHash, SizeUnknown)
}

func parse[S string | []byte](fn Function, hexHash S, size int64) (Digest, error) {
	n := fn.HashSize()
	if n == 0 || len(hexHash) != 2*n {
		return Digest{}, fmt.Errorf("digest hash %.140q has %d characters, a %v hash has %d hex digits", string(hexHash), len(hexHash), fn, 2*n)
	}
	d := Digest{fn: fn, size: size}
	for i := range n {
		hi, lo := nibbles[hexHash[2*i]], nibbles[hexHash[2*i+1]]
		if hi|lo > 15 {
			return Digest{}, fmt.Errorf("digest hash %.140q is not lower-case hex", string(hexHash))
		}
		d.hash[i] = hi<<4 | lo
	}
	return d, nil
}

// nibbles maps a lower-case hex digit to its value and all else to 255.
var nibbles = func() (t [256]byte) {
	for i := range t {
		t[i] = 255
	}
	for i, c := range "0123456789abcdef" {
		t[c] = byte(i)
	}
	return t
}()

// Function returns the digest function.
func (d Digest) Function() Function { return d.fn }

// Size returns the blob's size in bytes, or SizeUnknown.
func (d Digest) Size() int64 { return d.size }

// WithSize returns the digest of the same hash with another size.
func (d Digest) WithSize(size int64) Digest {
	d.size = size
	return d
}

// Hash returns the raw hash. It aliases d and must not be written to.
func (d *Digest) Hash() []byte { return d.hash[:d.fn.HashSize()] }

// AppendHex appends the hash in lower-case hex.
func (d *Digest) AppendHex(dst []byte) []byte { return hex.AppendEncode(dst, d.Hash()) }

// Hex returns the hash in lower-case hex.
func (d Digest) Hex() string { return hex.EncodeToString(d.Hash()) }

// IsEmptyBlob reports whether d is the digest of the blob of no bytes, which
// every server has from the start (rule 1).
func (d Digest) IsEmptyBlob() bool {
	return d.size <= 0 && d.fn.Supported() && string(d.Hash()) == string(empty[d.fn].Hash())
}

// Valid reports whether d was made by a parser, not by a zero value.
func (d Digest) Valid() bool { return d.fn != Unknown }

// String returns "hash/size", with the function before it where the hash alone
// does not tell it.
func (d Digest) String() string {
	if s := d.fn.Segment(); s != "" {
		return fmt.Sprintf("%s/%s/%d", s, d.Hex(), d.size)
	}
	return fmt.Sprintf("%s/%d", d.Hex(), d.size)
}
