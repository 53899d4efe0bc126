package merkle

import (
	"bufio"
	"errors"
	"io"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// The tags of the two fields of a Tree, which is also all that a topologically
// sorted Tree may consist of (rule 33).
const (
	tagRoot     = 1<<3 | byte(protowire.BytesType)
	tagChildren = 2<<3 | byte(protowire.BytesType)
)

// TreeReader reads a serialized Tree as a stream of directories, with memory
// for the largest of them. It reads any Tree; one that claims to be
// topologically sorted must also be encoded as the protocol wants that (rule
// 33): the root, then the children, and nothing else. Reset makes it ready.
type TreeReader struct {
	br       *bufio.Reader
	left     int64
	sorted   bool
	roots    int
	children int
	inRoot   bool
	buf      []byte
}

// maxKept is the size in bytes of the largest buffer that Reset keeps.
const maxKept = 64 << 10

// Reset begins a Tree of size bytes that r yields. It keeps the reader's
// buffers unless they have grown large.
func (t *TreeReader) Reset(r io.Reader, size int64, sorted bool) {
	if cap(t.buf) > maxKept {
		t.buf = nil
	}
	if t.br == nil {
		t.br = bufio.NewReader(r)
	}
	t.br.Reset(r)
	*t = TreeReader{br: t.br, buf: t.buf[:0], left: size, sorted: sorted}
}

// Field names the directory that Next returned last: "root" or "children[2]".
func (t *TreeReader) Field() string {
	if t.inRoot {
		return "root"
	}
	return at("children", t.children-1)
}

// Next returns the next serialized Directory, which is valid until the next
// call. The error is io.EOF after the last one, an *Error if the message is no
// Tree, or what the underlying reader answered.
func (t *TreeReader) Next() ([]byte, error) {
	for t.left > 0 {
		tag, err := t.uvarint()
		if err != nil {
			return nil, err
		}
		switch tag {
		case uint64(tagRoot):
			if t.roots++; t.roots > 1 {
				return nil, &Error{Field: "root", Reason: "must stand once"}
			}
			t.inRoot = true
			return t.directory()
		case uint64(tagChildren):
			if t.children++; t.sorted && t.roots == 0 {
				return nil, &Error{Field: "children[0]", Reason: "must come after the root of a topologically sorted tree"}
			}
			t.inRoot = false
			return t.directory()
		}
		if err := t.skip(tag); err != nil {
			return nil, err
		}
	}
	return nil, io.EOF
}

func (t *TreeReader) directory() ([]byte, error) {
	n, err := t.uvarint()
	if err != nil {
		return nil, err
	}
	if n > uint64(t.left) {
		return nil, errTree
	}
	t.buf = slices.Grow(t.buf[:0], int(n))[:n]
	t.left -= int64(n)
	_, err = io.ReadFull(t.br, t.buf)
	return t.buf, truncated(err)
}

// skip passes over a field that a Tree does not have.
func (t *TreeReader) skip(tag uint64) error {
	num, typ := protowire.DecodeTag(tag)
	if num < protowire.MinValidNumber || num > protowire.MaxValidNumber {
		return errTree
	}
	if t.sorted {
		return &Error{Reason: "must have only root and children where it is topologically sorted"}
	}
	var n uint64
	var err error
	switch typ {
	case protowire.VarintType:
		_, err = t.uvarint()
	case protowire.Fixed32Type:
		n = 4
	case protowire.Fixed64Type:
		n = 8
	case protowire.BytesType:
		n, err = t.uvarint()
	default: // the groups that nothing in this protocol uses
		return errTree
	}
	if err != nil {
		return err
	}
	if n > uint64(t.left) {
		return errTree
	}
	t.left -= int64(n)
	_, err = t.br.Discard(int(n))
	return truncated(err)
}

// uvarint reads a base 128 varint.
func (t *TreeReader) uvarint() (v uint64, err error) {
	for shift := uint(0); t.left > 0 && shift < 64; shift += 7 {
		b, err := t.br.ReadByte()
		if err != nil {
			return 0, truncated(err)
		}
		t.left--
		if shift == 63 && b > 1 {
			break
		}
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v, nil
		}
	}
	return 0, errTree
}

var errTree = &Error{Reason: malformed}

// truncated turns the early end of a Tree into an *Error.
func truncated(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errTree
	}
	return err
}
