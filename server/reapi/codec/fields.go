package codec

import (
	"errors"
	"io"
	"math"
	"unicode/utf8"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// errMalformed is what a message is refused with that is no protobuf.
var errMalformed = errors.New("message is not well-formed protobuf")

// errText is what a string field is refused with that is no UTF-8.
var errText = errors.New("string field has invalid UTF-8")

// The wire types of protobuf, as the low three bits of a field's tag.
const (
	varintType  = uint64(protowire.VarintType)
	fixed64Type = uint64(protowire.Fixed64Type)
	bytesType   = uint64(protowire.BytesType)
	groupType   = uint64(protowire.StartGroupType)
	fixed32Type = uint64(protowire.Fixed32Type)
)

// fields walks the fields of a message, over the buffers that it came in. A
// known field of another wire type than its own has another tag, and so is
// skipped like an unknown one, as the generated code does.
type fields struct {
	// tag is the current field: its number, shifted by 3, and its wire type.
	tag uint64
	// varint is the value of a field of the varint type.
	varint uint64

	owner   *Request // lends memory for what spans buffers; nil for one slice
	bufs    mem.BufferSlice
	cur     []byte // what is left of the buffer in hand
	left    int    // bytes left in all, cur included
	pending int    // bytes of the current field's value not yet taken
	err     error
}

// fields begins a walk over the message's fields.
func (r *Request) fields() fields {
	f := fields{owner: r, bufs: r.bufs, left: r.Len()}
	f.refill()
	return f
}

// fieldsOf begins a walk over a message in one piece.
func fieldsOf(wire []byte) fields { return fields{cur: wire, left: len(wire)} }

// next goes to the next field, and tells whether there is one. If not, err
// tells whether the message was well formed to its end.
func (f *fields) next() bool {
	if f.pending > 0 {
		f.skip(f.pending)
		f.pending = 0
	}
	if f.err != nil || f.left == 0 {
		return false
	}
	f.tag = f.uvarint()
	if n := f.tag >> 3; n < uint64(protowire.MinValidNumber) || n > uint64(protowire.MaxValidNumber) {
		return f.fail(errMalformed)
	}
	switch f.tag & 7 {
	case varintType:
		f.varint = f.uvarint()
	case bytesType:
		f.expect(f.uvarint())
	case fixed64Type:
		f.expect(8)
	case fixed32Type:
		f.expect(4)
	case groupType:
		f.group()
	default:
		f.fail(errMalformed)
	}
	return f.err == nil
}

// fail ends the walk.
func (f *fields) fail(err error) bool {
	if f.err == nil {
		f.err = err
	}
	return false
}

// check ends the walk if a nested message failed.
func (f *fields) check(err error) {
	if err != nil {
		f.fail(err)
	}
}

// expect notes the length of the current field's value.
func (f *fields) expect(n uint64) {
	if n > uint64(f.left) {
		f.fail(io.ErrUnexpectedEOF)
	}
	if f.err == nil {
		f.pending = int(n)
	}
}

// group skips a group, which no message of ours has.
func (f *fields) group() {
	rest := f.contiguous(f.left)
	n := protowire.ConsumeFieldValue(protowire.Number(f.tag>>3), protowire.StartGroupType, rest)
	if n < 0 {
		f.fail(errMalformed)
		return
	}
	f.cur, f.left, f.bufs = rest[n:], len(rest)-n, nil
}

// bytes takes the value of a field of the bytes type, in one piece. It aliases
// the message or memory of its own, and is valid until the request is freed.
func (f *fields) bytes() []byte {
	n := f.pending
	f.pending = 0
	return f.contiguous(n)
}

// text takes the value of a field of the string type, as bytes does.
func (f *fields) text() []byte {
	b := f.bytes()
	if !utf8.Valid(b) {
		f.fail(errText)
	}
	return b
}

// pieces takes the value of a field of the bytes type as it lies in the
// buffers, appended to dst.
func (f *fields) pieces(dst [][]byte) [][]byte {
	for f.pending > 0 {
		p := f.cur[:min(f.pending, len(f.cur))]
		f.advance(len(p))
		f.pending -= len(p)
		dst = append(dst, p)
	}
	return dst
}

// contiguous takes the next n bytes, which must be there, in one piece.
func (f *fields) contiguous(n int) []byte {
	if n <= len(f.cur) {
		p := f.cur[:n:n]
		f.advance(n)
		return p
	}
	whole := f.owner.lend(n)
	for at := 0; at < n; {
		k := copy(whole[at:], f.cur)
		f.advance(k)
		at += k
	}
	return whole
}

func (f *fields) skip(n int) {
	for n > 0 {
		k := min(n, len(f.cur))
		f.advance(k)
		n -= k
	}
}

// advance drops n bytes of cur, and takes the next buffer if that was all.
func (f *fields) advance(n int) {
	f.cur = f.cur[n:]
	f.left -= n
	if len(f.cur) == 0 {
		f.refill()
	}
}

func (f *fields) refill() {
	for len(f.cur) == 0 && len(f.bufs) > 0 {
		f.cur, f.bufs = f.bufs[0].ReadOnlyData(), f.bufs[1:]
	}
}

// uvarint takes a varint.
func (f *fields) uvarint() uint64 {
	if len(f.cur) > 0 && f.cur[0] < 0x80 {
		v := uint64(f.cur[0])
		f.advance(1)
		return v
	}
	if v, n := protowire.ConsumeVarint(f.cur); n > 0 {
		f.advance(n)
		return v
	}
	return f.splitVarint()
}

// splitVarint takes a varint that spans buffers, or fails.
func (f *fields) splitVarint() uint64 {
	var v uint64
	for shift := 0; shift < 64; shift += 7 {
		if f.left == 0 {
			f.fail(io.ErrUnexpectedEOF)
			return 0
		}
		b := uint64(f.cur[0])
		f.advance(1)
		if shift == 63 && b > 1 {
			break
		}
		v |= b & 0x7f << shift
		if b < 0x80 {
			return v
		}
	}
	f.fail(errMalformed)
	return 0
}

// enum is the current varint as an enum's value.
func (f *fields) enum() int32 { return int32(uint32(f.varint & math.MaxUint32)) }
