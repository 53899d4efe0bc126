package codec

import "google.golang.org/grpc/mem"

// Request is a message as it came, in one or more buffers. It is received
// with a handler's decoder or with RecvMsg, any number of times; each time
// frees what came before. The zero value is an empty message.
type Request struct {
	bufs mem.BufferSlice
	// flat holds the whole message once Bytes was called on several buffers.
	flat mem.Buffer
	// lent holds copies of fields that span buffers.
	lent mem.BufferSlice
}

// NewRequest returns the message of those bytes.
func NewRequest(wire []byte) *Request {
	return &Request{bufs: mem.BufferSlice{mem.SliceBuffer(wire)}}
}

// keep takes a reference of its own to data, which gRPC is about to free.
func (r *Request) keep(data mem.BufferSlice) {
	r.Free()
	data.Ref()
	r.bufs = data
}

// Free gives the buffers back. What Bytes or a decoder returned must not be used
// afterwards. Free may be called twice.
func (r *Request) Free() {
	r.bufs.Free()
	r.lent.Free()
	r.bufs, r.lent = nil, nil
	if r.flat != nil {
		r.flat.Free()
		r.flat = nil
	}
}

// lend returns memory of n bytes that lives until Free.
func (r *Request) lend(n int) []byte {
	buf := Pool.Get(n)
	r.lent = append(r.lent, mem.NewBuffer(buf, Pool))
	return *buf
}

// Len returns the message's length in bytes.
func (r *Request) Len() int { return r.bufs.Len() }

// Bytes returns the message in one piece, which is valid until Free. It
// copies only if the message came in several buffers.
func (r *Request) Bytes() []byte {
	switch {
	case len(r.bufs) == 0:
		return nil
	case len(r.bufs) == 1:
		return r.bufs[0].ReadOnlyData()
	case r.flat == nil:
		r.flat = r.bufs.MaterializeToBuffer(Pool)
	}
	return r.flat.ReadOnlyData()
}

// Response is a message in wire form, written once and sent once.
type Response struct {
	bufs mem.BufferSlice
	one  [1]mem.Buffer // room for the usual single buffer
}

// NewResponse returns the message of those bytes, which must not be written
// to any more.
func NewResponse(wire []byte) *Response {
	return newResponse(mem.SliceBuffer(wire))
}

// PooledResponse returns the message of the first n bytes of a buffer that
// came from Pool, and gives the buffer back there when it was sent.
func PooledResponse(buf *[]byte, n int) *Response {
	*buf = (*buf)[:n]
	return newResponse(mem.NewBuffer(buf, Pool))
}

func newResponse(b mem.Buffer) *Response {
	r := new(Response)
	r.one[0] = b
	r.bufs = r.one[:]
	return r
}

// Free gives the buffers of a response back that will not be sent.
func (r *Response) Free() { r.take().Free() }

// Len returns the message's length in bytes.
func (r *Response) Len() int { return r.bufs.Len() }

// Bytes returns a copy of the message, for tests.
func (r *Response) Bytes() []byte { return r.bufs.Materialize() }

func (r *Response) take() mem.BufferSlice {
	b := r.bufs
	r.bufs = nil
	return b
}
