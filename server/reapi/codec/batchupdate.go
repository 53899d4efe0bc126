package codec

import "google.golang.org/protobuf/encoding/protowire"

// BatchUpdate is a BatchUpdateBlobsRequest. It may be reused: Decode keeps the
// memory of Blobs.
type BatchUpdate struct {
	Instance string
	Function int32
	Blobs    []BatchUpdateBlob
}

// BatchUpdateBlob is one blob of a BatchUpdateBlobsRequest. Its bytes alias
// the request.
type BatchUpdateBlob struct {
	Digest     Digest
	HasDigest  bool
	Data       []byte
	Compressor int32
}

const (
	batchUpdateInstance = 1<<3 | bytesType
	batchUpdateRequests = 2<<3 | bytesType
	batchUpdateFunction = 5<<3 | varintType

	batchUpdateDigest     = 1<<3 | bytesType
	batchUpdateData       = 2<<3 | bytesType
	batchUpdateCompressor = 3<<3 | varintType
)

// Decode reads the request.
func (m *BatchUpdate) Decode(r *Request) error {
	*m = BatchUpdate{Blobs: m.Blobs[:0]}
	f := r.fields()
	for f.next() {
		switch f.tag {
		case batchUpdateInstance:
			m.Instance = string(f.text())
		case batchUpdateRequests:
			m.Blobs = append(m.Blobs, BatchUpdateBlob{})
			f.check(m.Blobs[len(m.Blobs)-1].decode(f.bytes()))
		case batchUpdateFunction:
			m.Function = f.enum()
		}
	}
	return f.err
}

func (m *BatchUpdateBlob) decode(wire []byte) error {
	f := fieldsOf(wire)
	for f.next() {
		switch f.tag {
		case batchUpdateDigest:
			m.HasDigest = true
			f.check(m.Digest.merge(f.bytes()))
		case batchUpdateData:
			m.Data = f.bytes()
		case batchUpdateCompressor:
			m.Compressor = f.enum()
		}
	}
	return f.err
}

// Status is a google.rpc.Status: the zero value is OK.
type Status struct {
	Code    int32
	Message string
	// Details are wire forms of google.protobuf.Any.
	Details [][]byte
}

const (
	statusCode    = 1<<3 | varintType
	statusMessage = 2<<3 | bytesType
	statusDetails = 3<<3 | bytesType
)

func (s *Status) size() int {
	n := 0
	if s.Code != 0 {
		n += 1 + protowire.SizeVarint(uint64(s.Code))
	}
	if s.Message != "" {
		n += 1 + protowire.SizeBytes(len(s.Message))
	}
	for _, d := range s.Details {
		n += 1 + protowire.SizeBytes(len(d))
	}
	return n
}

// appendField appends the status as the field with that tag, also if it is OK
// and so empty: some clients take an absent status for a failure.
func (s *Status) appendField(b []byte, tag uint64) []byte {
	b = protowire.AppendVarint(b, tag)
	b = protowire.AppendVarint(b, uint64(s.size()))
	if s.Code != 0 {
		b = protowire.AppendVarint(b, statusCode)
		b = protowire.AppendVarint(b, uint64(s.Code))
	}
	if s.Message != "" {
		b = protowire.AppendVarint(b, statusMessage)
		b = protowire.AppendString(b, s.Message)
	}
	for _, d := range s.Details {
		b = protowire.AppendVarint(b, statusDetails)
		b = protowire.AppendBytes(b, d)
	}
	return b
}

// BatchResponse and BatchUpdateBlobsResponse.Response have these fields in
// common.
const (
	batchResponses      = 1<<3 | bytesType
	batchResponseDigest = 1<<3 | bytesType
	batchUpdateStatus   = 2<<3 | bytesType
)

// Response returns the BatchUpdateBlobsResponse that has a status for each
// blob, in order.
func (m *BatchUpdate) Response(status []Status) *Response {
	n := 0
	for i := range m.Blobs {
		n += 1 + protowire.SizeBytes(m.Blobs[i].responseSize(&status[i]))
	}
	buf := Pool.Get(n)
	b := (*buf)[:0]
	for i := range m.Blobs {
		blob := &m.Blobs[i]
		b = protowire.AppendVarint(b, batchResponses)
		b = protowire.AppendVarint(b, uint64(blob.responseSize(&status[i])))
		if blob.HasDigest {
			b = blob.Digest.appendField(b, batchResponseDigest)
		}
		b = status[i].appendField(b, batchUpdateStatus)
	}
	return PooledResponse(buf, len(b))
}

func (m *BatchUpdateBlob) responseSize(s *Status) int {
	n := 1 + protowire.SizeBytes(s.size())
	if m.HasDigest {
		n += 1 + protowire.SizeBytes(m.Digest.size())
	}
	return n
}
