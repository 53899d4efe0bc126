package codec

import "google.golang.org/protobuf/encoding/protowire"

// BatchRead is a BatchReadBlobsRequest. It may be reused: Decode keeps the
// memory of Digests.
type BatchRead struct {
	Instance string
	Function int32
	Digests  []Digest
	// AcceptZstd tells whether acceptable_compressors names ZSTD.
	AcceptZstd bool
}

const (
	batchReadInstance     = 1<<3 | bytesType
	batchReadDigests      = 2<<3 | bytesType
	batchReadAcceptable   = 3<<3 | varintType
	batchReadPackedAccept = 3<<3 | bytesType
	batchReadFunction     = 4<<3 | varintType

	zstd = 1 // Compressor.ZSTD
)

// Decode reads the request.
func (m *BatchRead) Decode(r *Request) error {
	*m = BatchRead{Digests: m.Digests[:0]}
	f := r.fields()
	for f.next() {
		switch f.tag {
		case batchReadInstance:
			m.Instance = string(f.text())
		case batchReadDigests:
			var d Digest
			f.check(d.merge(f.bytes()))
			m.Digests = append(m.Digests, d)
		case batchReadAcceptable:
			m.AcceptZstd = m.AcceptZstd || f.enum() == zstd
		case batchReadPackedAccept:
			f.check(m.acceptPacked(f.bytes()))
		case batchReadFunction:
			m.Function = f.enum()
		}
	}
	return f.err
}

func (m *BatchRead) acceptPacked(values []byte) error {
	for len(values) > 0 {
		v, n := protowire.ConsumeVarint(values)
		if n < 0 {
			return errMalformed
		}
		m.AcceptZstd = m.AcceptZstd || int32(v) == zstd
		values = values[n:]
	}
	return nil
}

const (
	batchReadData       = 2<<3 | bytesType
	batchReadStatus     = 3<<3 | bytesType
	batchReadCompressor = 4<<3 | varintType
)

// BatchReadResponse writes a BatchReadBlobsResponse, one blob after the other,
// into one buffer that does not grow.
type BatchReadResponse struct {
	buf *[]byte
	b   []byte
}

// BatchReadOverhead returns how many bytes a blob takes in the response beside
// its data, at most, if its status has no message.
func BatchReadOverhead(d *Digest) int {
	const tagsAndLengths = (1 + 4) + (1 + 4) + (1 + 4) + (1 + 1 + 1 + 2) + (1 + 1)
	return d.size() + tagsAndLengths
}

// NewBatchReadResponse returns a response with room for that many bytes.
func NewBatchReadResponse(room int) *BatchReadResponse {
	buf := Pool.Get(room)
	return &BatchReadResponse{buf: buf, b: (*buf)[:0]}
}

// Room returns how many more bytes fit.
func (m *BatchReadResponse) Room() int { return len(*m.buf) - len(m.b) }

// AddBlob adds a blob of n bytes and returns where its data is to be written.
// If that fails, call Retract before adding another.
func (m *BatchReadResponse) AddBlob(d *Digest, n int, compressed bool) []byte {
	size := 1 + protowire.SizeBytes(d.size()) + 1 + protowire.SizeBytes(0)
	if n > 0 {
		size += 1 + protowire.SizeBytes(n)
	}
	if compressed {
		size += 2
	}
	b := protowire.AppendVarint(m.b, batchResponses)
	b = protowire.AppendVarint(b, uint64(size))
	b = d.appendField(b, batchResponseDigest)
	b = (&Status{}).appendField(b, batchReadStatus)
	if compressed {
		b = append(b, byte(batchReadCompressor), zstd)
	}
	if n > 0 {
		b = protowire.AppendVarint(b, batchReadData)
		b = protowire.AppendVarint(b, uint64(n))
	}
	m.b = b[:len(b)+n]
	return m.b[len(b):]
}

// Mark returns the place that Retract goes back to.
func (m *BatchReadResponse) Mark() int { return len(m.b) }

// Retract removes what was added since Mark.
func (m *BatchReadResponse) Retract(mark int) { m.b = m.b[:mark] }

// AddFailure adds a blob that could not be read. The status goes without its
// message and details where they do not fit.
func (m *BatchReadResponse) AddFailure(d *Digest, s Status, room int) {
	if m.failureSize(d, &s) > room {
		s = Status{Code: s.Code}
	}
	size := 1 + protowire.SizeBytes(d.size()) + 1 + protowire.SizeBytes(s.size())
	m.b = protowire.AppendVarint(m.b, batchResponses)
	m.b = protowire.AppendVarint(m.b, uint64(size))
	m.b = d.appendField(m.b, batchResponseDigest)
	m.b = s.appendField(m.b, batchReadStatus)
}

func (m *BatchReadResponse) failureSize(d *Digest, s *Status) int {
	size := 1 + protowire.SizeBytes(d.size()) + 1 + protowire.SizeBytes(s.size())
	return 1 + protowire.SizeBytes(size)
}

// Free gives the buffer back of a response that will not be sent.
func (m *BatchReadResponse) Free() { Pool.Put(m.buf) }

// Response ends the response.
func (m *BatchReadResponse) Response() *Response { return PooledResponse(m.buf, len(m.b)) }
