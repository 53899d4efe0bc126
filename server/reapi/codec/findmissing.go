package codec

import "google.golang.org/protobuf/encoding/protowire"

// FindMissing is a FindMissingBlobsRequest. It may be reused: Decode keeps the
// memory of Digests.
type FindMissing struct {
	Instance string
	// Function is the digest_function's number.
	Function int32
	// Digests are the wire forms of the digests, which alias the request.
	Digests [][]byte
}

// The tag of blob_digests is also that of the response's
// missing_blob_digests.
const (
	findMissingInstance = 1<<3 | bytesType
	findMissingDigests  = 2<<3 | bytesType
	findMissingFunction = 3<<3 | varintType
)

// Decode reads the request.
func (m *FindMissing) Decode(r *Request) error {
	*m = FindMissing{Digests: m.Digests[:0]}
	f := r.fields()
	for f.next() {
		switch f.tag {
		case findMissingInstance:
			m.Instance = string(f.text())
		case findMissingDigests:
			m.Digests = append(m.Digests, f.bytes())
		case findMissingFunction:
			m.Function = f.enum()
		}
	}
	return f.err
}

// Digest parses the i-th digest.
func (m *FindMissing) Digest(i int) (d Digest, err error) {
	err = d.merge(m.Digests[i])
	return d, err
}

// Response returns the FindMissingBlobsResponse that names the digests of
// those indexes, by the bytes that they came in.
func (m *FindMissing) Response(missing []int) *Response {
	n := 0
	for _, i := range missing {
		n += 1 + protowire.SizeBytes(len(m.Digests[i]))
	}
	buf := Pool.Get(n)
	b := (*buf)[:0]
	for _, i := range missing {
		b = append(b, byte(findMissingDigests))
		b = protowire.AppendBytes(b, m.Digests[i])
	}
	return PooledResponse(buf, len(b))
}
