package codec

import (
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// Digest is a Digest message, not yet checked.
type Digest struct {
	// Hash aliases the request.
	Hash []byte
	Size int64
}

const (
	digestHash = 1<<3 | bytesType
	digestSize = 2<<3 | varintType
)

// merge takes the fields that wire has, as the generated code merges a message
// that occurs twice.
func (d *Digest) merge(wire []byte) error {
	if d.mergeUsual(wire) {
		return nil
	}
	f := fieldsOf(wire)
	for f.next() {
		switch f.tag {
		case digestHash:
			d.Hash = f.text()
		case digestSize:
			d.Size = int64(f.varint)
		}
	}
	return f.err
}

// mergeUsual is merge for the form in which everyone writes a digest: the hash
// and then the size, once each. It tells whether that was it.
func (d *Digest) mergeUsual(wire []byte) bool {
	if len(wire) < 4 || wire[0] != byte(digestHash) || int(wire[1]) > len(wire)-4 || wire[1] >= 0x80 {
		return false
	}
	hash, rest := wire[2:2+wire[1]], wire[2+wire[1]:]
	size, n := protowire.ConsumeVarint(rest[1:])
	if rest[0] != byte(digestSize) || n != len(rest)-1 || !utf8.Valid(hash) {
		return false
	}
	d.Hash, d.Size = slices.Clip(hash), int64(size)
	return true
}

// size returns the length in bytes of what append writes, without the field's
// tag and length.
func (d *Digest) size() int {
	n := 0
	if len(d.Hash) > 0 {
		n += 1 + protowire.SizeBytes(len(d.Hash))
	}
	if d.Size != 0 {
		n += 1 + protowire.SizeVarint(uint64(d.Size))
	}
	return n
}

// appendField appends the digest as the field with that tag.
func (d *Digest) appendField(b []byte, tag uint64) []byte {
	b = protowire.AppendVarint(b, tag)
	b = protowire.AppendVarint(b, uint64(d.size()))
	if len(d.Hash) > 0 {
		b = protowire.AppendVarint(b, digestHash)
		b = protowire.AppendBytes(b, d.Hash)
	}
	if d.Size != 0 {
		b = protowire.AppendVarint(b, digestSize)
		b = protowire.AppendVarint(b, uint64(d.Size))
	}
	return b
}
