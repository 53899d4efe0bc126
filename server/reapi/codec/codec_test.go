package codec

import (
	"bytes"
	"strings"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

func TestCodecKeepsRequestsRaw(t *testing.T) {
	t.Parallel()
	c := New()
	data := []byte("\x0a\x03abc")
	var r Request
	if err := c.Unmarshal(mem.BufferSlice{mem.SliceBuffer(data)}, &r); err != nil {
		t.Fatal(err)
	}
	if got := r.Bytes(); !bytes.Equal(got, data) {
		t.Errorf("Bytes = %q, want %q", got, data)
	}
	out, err := c.Marshal(NewResponse(data))
	if err != nil || !bytes.Equal(out.Materialize(), data) {
		t.Errorf("Marshal = %q, %v, want %q", out.Materialize(), err, data)
	}
	if err := c.Unmarshal(nil, NewResponse(nil)); err == nil {
		t.Error("a Response was received")
	}
}

func TestCodecLeavesTheRestToGeneratedCode(t *testing.T) {
	t.Parallel()
	c := New()
	want := &repb.GetTreeRequest{InstanceName: "a/b", PageSize: 7}
	wire, err := c.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got := new(repb.GetTreeRequest)
	if err := c.Unmarshal(wire, got); err != nil || !proto.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if c.Name() != "proto" {
		t.Errorf("Name = %q", c.Name())
	}
	if _, err := c.Marshal("text"); err == nil {
		t.Error("a string was marshalled")
	}
}

// TestRequestOwnsItsBuffers receives into one Request twice and looks at the
// references that are left on each message's buffers.
func TestRequestOwnsItsBuffers(t *testing.T) {
	t.Parallel()
	freed := new(countingPool)
	c := New()
	receive := func(r *Request) {
		data := make([]byte, 4<<10)
		slice := mem.BufferSlice{mem.NewBuffer(&data, freed)}
		if err := c.Unmarshal(slice, r); err != nil {
			t.Fatal(err)
		}
		slice.Free() // as gRPC does after Unmarshal
	}
	var r Request
	receive(&r)
	if freed.puts != 0 {
		t.Fatal("the request's buffer was freed while it is in use")
	}
	receive(&r)
	if freed.puts != 1 {
		t.Fatalf("%d buffers were freed after the second message, want 1", freed.puts)
	}
	r.Free()
	r.Free()
	if freed.puts != 2 {
		t.Fatalf("%d buffers were freed, want 2", freed.puts)
	}
}

type countingPool struct{ puts int }

func (p *countingPool) Get(n int) *[]byte { b := make([]byte, n); return &b }
func (p *countingPool) Put(*[]byte)       { p.puts++ }

func TestRequestBytesJoinsBuffers(t *testing.T) {
	t.Parallel()
	r := split([]byte("hello, world"), 5)
	defer r.Free()
	if got := string(r.Bytes()); got != "hello, world" {
		t.Errorf("Bytes = %q", got)
	}
	if new(Request).Bytes() != nil || new(Request).Len() != 0 {
		t.Error("the zero Request is not empty")
	}
}

func TestPool(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 1024, 1025, 2304, 2305, 64<<10 + 6, 1 << 20, 8<<20 + slack, 8<<20 + slack + 1, 20 << 20} {
		b := Pool.Get(n)
		if len(*b) != n {
			t.Errorf("Get(%d) has %d bytes", n, len(*b))
		}
		*b = (*b)[:n/2]
		Pool.Put(b)
		if c := Pool.Get(n); len(*c) != n {
			t.Errorf("Get(%d) has %d bytes the second time", n, len(*c))
		}
	}
	if got := cap(*Pool.Get(64<<10 + 6)); got > 64<<10+slack {
		t.Errorf("a block of 64 KiB and its header take %d bytes", got)
	}
}

func TestPutReadHeader(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 127, 128, 1 << 14, 1 << 21, 1 << 28} {
		b := make([]byte, MaxReadHeaderSize)
		start := PutReadHeader(b, len(b), n)
		f := fieldsOf(append(b[start:], make([]byte, n)...))
		if !f.next() || f.tag != readData || f.pending != n || len(f.bytes()) != n || f.next() || f.err != nil {
			t.Errorf("header of %d bytes is % x", n, b[start:])
		}
	}
}

func TestDecodeMalformed(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"field number 0":     "\x00",
		"field number large": "\x80\x80\x80\x80\x10\x00",
		"wire type 6":        "\x0e",
		"wire type 7":        "\x0f",
		"length too large":   "\x0a\x05abc",
		"length huge":        "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		"varint too long":    "\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
		"varint cut":         "\x18\xff",
		"tag cut":            "\xff",
		"fixed64 cut":        "\x21abc",
		"fixed32 cut":        "\x25abc",
		"group end":          "\x0c",
		"group cut":          "\x0b\x08\x01",
		"no UTF-8":           "\x0a\x01\xff",
	}
	for name, wire := range tests {
		for n := 1; n <= 3; n++ {
			if err := new(FindMissing).Decode(split([]byte(wire), n)); err == nil {
				t.Errorf("%s: decoded", name)
			}
		}
		if err := proto.Unmarshal([]byte(wire), new(repb.FindMissingBlobsRequest)); err == nil {
			t.Errorf("%s: the generated code decodes it", name)
		}
	}
}

// split returns a request of those bytes in buffers of n bytes; n below 1 is
// one buffer. Every second boundary has an empty buffer too.
func split(wire []byte, n int) *Request {
	r := new(Request)
	if n < 1 {
		n = max(len(wire), 1)
	}
	for len(wire) > 0 {
		k := min(n, len(wire))
		r.bufs = append(r.bufs, mem.SliceBuffer(wire[:k]))
		if len(r.bufs)%2 == 1 {
			r.bufs = append(r.bufs, mem.SliceBuffer(nil))
		}
		wire = wire[k:]
	}
	return r
}

func TestSplitVarint(t *testing.T) {
	t.Parallel()
	wire, err := proto.Marshal(&repb.Digest{Hash: strings.Repeat("a", 300), SizeBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 12 {
		r := split(wire, n)
		f := r.fields()
		var d Digest
		for f.next() {
			switch f.tag {
			case digestHash:
				d.Hash = f.text()
			case digestSize:
				d.Size = int64(f.varint)
			}
		}
		if f.err != nil || len(d.Hash) != 300 || d.Size != -1 {
			t.Errorf("buffers of %d: %d bytes of hash, size %d, %v", n, len(d.Hash), d.Size, f.err)
		}
		r.Free()
	}
}
