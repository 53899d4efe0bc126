package merkle

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/larder-build/larder/internal/digest"
)

// field is one field of a serialized message.
type field struct {
	num   protowire.Number
	typ   protowire.Type
	data  []byte // of a length-delimited field
	value uint64 // of a varint field
}

// is reports whether f is the length-delimited field of that number. A known
// number with another wire type is an unknown field, as in every protobuf
// library.
func (f *field) is(num protowire.Number) bool {
	return f.num == num && f.typ == protowire.BytesType
}

const malformed = "is not a well-formed protocol buffer message"

// next splits the first field off msg, which must not be empty. It reports
// false where msg is malformed.
func next(msg []byte) (f field, rest []byte, ok bool) {
	// Most fields are short strings and messages with small numbers.
	if len(msg) >= 2 && msg[0] < 0x80 && msg[0]&7 == byte(protowire.BytesType) && msg[0] >= 1<<3 && msg[1] < 0x80 {
		if end := 2 + int(msg[1]); end <= len(msg) {
			f.num, f.typ, f.data = protowire.Number(msg[0]>>3), protowire.BytesType, msg[2:end:end]
			return f, msg[end:], true
		}
		return f, nil, false
	}
	num, typ, n := protowire.ConsumeTag(msg)
	if n < 0 || num > protowire.MaxValidNumber {
		return f, nil, false
	}
	f.num, f.typ = num, typ
	msg = msg[n:]
	switch typ {
	case protowire.BytesType:
		f.data, n = protowire.ConsumeBytes(msg)
	case protowire.VarintType:
		f.value, n = protowire.ConsumeVarint(msg)
	default:
		n = protowire.ConsumeFieldValue(num, typ, msg)
	}
	if n < 0 {
		return f, nil, false
	}
	return f, msg[n:], true
}

// rawDigest collects a Digest message. A message field that occurs twice is
// merged, so each occurrence is added to what was there.
type rawDigest struct {
	set  bool
	hash []byte
	size int64
}

func (d *rawDigest) add(msg []byte) (ok bool) {
	d.set = true
	for len(msg) > 0 {
		var f field
		if f, msg, ok = next(msg); !ok {
			return false
		}
		switch {
		case f.is(1):
			d.hash = f.data
		case f.num == 2 && f.typ == protowire.VarintType:
			d.size = int64(f.value)
		}
	}
	return true
}

// parse stores the digest in dst, and leaves dst alone when there is none.
func (d *rawDigest) parse(fn digest.Function, dst *digest.Digest, name string) *Error {
	if !d.set {
		return nil
	}
	parsed, err := digest.Parse(fn, d.hash, d.size)
	if err != nil {
		return &Error{Field: name, Reason: err.Error()}
	}
	*dst = parsed
	return nil
}

// appendDigest appends a field that holds d as a Digest message.
func appendDigest(dst []byte, num protowire.Number, d *digest.Digest) []byte {
	hexLen := 2 * len(d.Hash())
	size := 1 + protowire.SizeBytes(hexLen)
	if d.Size() != 0 {
		size += 1 + protowire.SizeVarint(uint64(d.Size()))
	}
	dst = protowire.AppendTag(dst, num, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(size))
	dst = protowire.AppendTag(dst, 1, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(hexLen))
	dst = d.AppendHex(dst)
	if d.Size() != 0 {
		dst = protowire.AppendTag(dst, 2, protowire.VarintType)
		dst = protowire.AppendVarint(dst, uint64(d.Size()))
	}
	return dst
}
