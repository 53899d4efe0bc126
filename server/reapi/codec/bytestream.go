package codec

import "google.golang.org/protobuf/encoding/protowire"

// Read is a google.bytestream.ReadRequest. Name aliases the request.
type Read struct {
	Name          []byte
	Offset, Limit int64
}

const (
	readName   = 1<<3 | bytesType
	readOffset = 2<<3 | varintType
	readLimit  = 3<<3 | varintType
)

// Decode reads the request.
func (m *Read) Decode(r *Request) error {
	*m = Read{}
	f := r.fields()
	for f.next() {
		switch f.tag {
		case readName:
			m.Name = f.text()
		case readOffset:
			m.Offset = int64(f.varint)
		case readLimit:
			m.Limit = int64(f.varint)
		}
	}
	return f.err
}

// readData is the tag of ReadResponse.data.
const readData = 10<<3 | bytesType

// ReadHeaderSize returns the length in bytes of what comes before n bytes of
// data in a ReadResponse.
func ReadHeaderSize(n int) int { return 1 + protowire.SizeVarint(uint64(n)) }

// MaxReadHeaderSize is the most that ReadHeaderSize returns.
const MaxReadHeaderSize = 1 + 5

// PutReadHeader writes the header of a ReadResponse with n bytes of data just
// before b[at], where ReadHeaderSize bytes must be. It returns where the
// message begins.
func PutReadHeader(b []byte, at, n int) int {
	start := at - ReadHeaderSize(n)
	h := append(b[:start], byte(readData))
	protowire.AppendVarint(h, uint64(n))
	return start
}

// Write is a google.bytestream.WriteRequest. It may be reused: Decode keeps
// the memory of Data. Name and Data alias the request.
type Write struct {
	Name   []byte
	Offset int64
	Finish bool
	// Data is the message's data in the pieces it came in.
	Data [][]byte
	// Size is the length in bytes of all of Data.
	Size int
}

const (
	writeName   = 1<<3 | bytesType
	writeOffset = 2<<3 | varintType
	writeFinish = 3<<3 | varintType
	writeData   = 10<<3 | bytesType
)

// Decode reads the request.
func (m *Write) Decode(r *Request) error {
	*m = Write{Data: m.Data[:0]}
	f := r.fields()
	for f.next() {
		switch f.tag {
		case writeName:
			m.Name = f.text()
		case writeOffset:
			m.Offset = int64(f.varint)
		case writeFinish:
			m.Finish = f.varint != 0
		case writeData:
			m.Size = f.pending
			m.Data = f.pieces(m.Data[:0])
		}
	}
	return f.err
}

// WriteResponse returns the google.bytestream.WriteResponse.
func WriteResponse(committed int64) *Response {
	if committed == 0 {
		return NewResponse(nil)
	}
	return NewResponse(protowire.AppendVarint([]byte{1<<3 | byte(varintType)}, uint64(committed)))
}

// QueryWriteStatus is a google.bytestream.QueryWriteStatusRequest. Name
// aliases the request.
type QueryWriteStatus struct{ Name []byte }

// Decode reads the request.
func (m *QueryWriteStatus) Decode(r *Request) error {
	*m = QueryWriteStatus{}
	f := r.fields()
	for f.next() {
		if f.tag == 1<<3|bytesType {
			m.Name = f.text()
		}
	}
	return f.err
}

// QueryWriteStatusResponse returns the
// google.bytestream.QueryWriteStatusResponse.
func QueryWriteStatusResponse(committed int64, complete bool) *Response {
	var b []byte
	if committed != 0 {
		b = protowire.AppendVarint(append(b, 1<<3|byte(varintType)), uint64(committed))
	}
	if complete {
		b = append(b, 2<<3|byte(varintType), 1)
	}
	return NewResponse(b)
}
