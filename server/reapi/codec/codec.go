// Package codec is the wire codec of the REAPI server. A hot message stays the
// buffers it came in and is walked in place; a hot response is written once
// into the buffers that are sent. Whatever else is a generated message, and
// goes through the generated code as if this package were not there, so that
// rare RPCs and foreign services (health, reflection, admin) need to know
// nothing of it.
//
// A handler asks for the raw form by giving its decoder a *Request, and
// answers in raw form by returning a *Response.
package codec

import (
	"fmt"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// Codec implements encoding.CodecV2. Its methods may be called at the same
// time.
type Codec struct {
	generated encoding.CodecV2
}

var _ encoding.CodecV2 = (*Codec)(nil)

// New returns the codec, for grpc.ForceServerCodecV2.
func New() *Codec {
	return &Codec{generated: encoding.GetCodecV2(proto.Name)}
}

// Name returns "proto": on the wire the codec is the standard one.
func (c *Codec) Name() string { return proto.Name }

// Marshal returns a *Response's buffers, or the wire form of a generated
// message.
func (c *Codec) Marshal(v any) (mem.BufferSlice, error) {
	if r, ok := v.(*Response); ok {
		return r.take(), nil
	}
	return c.generated.Marshal(v)
}

// Unmarshal lets a *Request keep the data, or parses it into a generated
// message.
func (c *Codec) Unmarshal(data mem.BufferSlice, v any) error {
	switch r := v.(type) {
	case *Request:
		r.keep(data)
		return nil
	case *Response:
		return fmt.Errorf("codec: a %T cannot be received", v)
	}
	return c.generated.Unmarshal(data, v)
}
