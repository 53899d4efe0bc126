package codec

import "google.golang.org/protobuf/encoding/protowire"

// GetTree is a GetTreeRequest.
type GetTree struct {
	Instance string
	// Root is the root_digest, HasRoot whether it is set.
	Root      Digest
	HasRoot   bool
	PageSize  int32
	PageToken string
	// Function is the digest_function's number.
	Function int32
}

const (
	getTreeInstance = 1<<3 | bytesType
	getTreeRoot     = 2<<3 | bytesType
	getTreePageSize = 3<<3 | varintType
	getTreeToken    = 4<<3 | bytesType
	getTreeFunction = 5<<3 | varintType
)

// Decode reads the request.
func (m *GetTree) Decode(r *Request) error {
	*m = GetTree{}
	f := r.fields()
	for f.next() {
		switch f.tag {
		case getTreeInstance:
			m.Instance = string(f.text())
		case getTreeRoot:
			m.HasRoot = true
			f.check(m.Root.merge(f.bytes()))
		case getTreePageSize:
			m.PageSize = int32(uint32(f.varint))
		case getTreeToken:
			m.PageToken = string(f.text())
		case getTreeFunction:
			m.Function = f.enum()
		}
	}
	return f.err
}

const (
	getTreeDirectories = 1<<3 | bytesType
	getTreeNextToken   = 2<<3 | bytesType
)

// GetTreePage writes a GetTreeResponse, one directory after the other. The
// zero value is an empty page.
type GetTreePage struct {
	buf *[]byte
	b   []byte
	n   int
}

// treePageRoom is the length in bytes of the buffer that a page begins with.
const treePageRoom = 64 << 10

// Add adds a serialized Directory.
func (p *GetTreePage) Add(directory []byte) {
	if p.buf == nil {
		p.buf = Pool.Get(treePageRoom)
		p.b = (*p.buf)[:0]
	}
	p.b = protowire.AppendVarint(p.b, getTreeDirectories)
	p.b = protowire.AppendBytes(p.b, directory)
	p.n++
}

// Count returns the number of directories on the page.
func (p *GetTreePage) Count() int { return p.n }

// Len returns the page's length in bytes.
func (p *GetTreePage) Len() int { return len(p.b) }

// Response ends the page, with the token of the next one, and begins another.
func (p *GetTreePage) Response(nextToken string) *Response {
	if nextToken != "" {
		p.b = protowire.AppendVarint(p.b, getTreeNextToken)
		p.b = protowire.AppendString(p.b, nextToken)
	}
	buf, b := p.buf, p.b
	*p = GetTreePage{}
	switch {
	case buf == nil:
		return NewResponse(b)
	case cap(b) > cap(*buf): // it has outgrown the buffer
		Pool.Put(buf)
		return NewResponse(b)
	}
	return PooledResponse(buf, len(b))
}

// Free gives the buffer back of a page that will not be sent.
func (p *GetTreePage) Free() {
	if p.buf != nil {
		Pool.Put(p.buf)
	}
	*p = GetTreePage{}
}
