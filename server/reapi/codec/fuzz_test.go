package codec

import (
	"bytes"
	"slices"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	bspb "google.golang.org/genproto/googleapis/bytestream"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// The fuzz targets compare this package with the generated code, in what it
// accepts, what it reads, and every byte that it writes.

func seed(f *testing.F, msgs ...proto.Message) {
	f.Helper()
	for i, m := range msgs {
		wire, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire, i)
		f.Add(append(wire, "\x9a\x3e\x01x\xa0\x3e\x05\x23\x08\x01\x24"...), 3) // unknown fields and a group
		f.Add(append(wire, wire...), 7)
	}
}

// agree fails the test unless both decoders took the message or both did not,
// and tells whether they took it.
func agree(t *testing.T, ours, generated error) bool {
	t.Helper()
	if (ours == nil) != (generated == nil) {
		t.Fatalf("decoding: %v, the generated code says %v", ours, generated)
	}
	return ours == nil
}

func same(t *testing.T, got []byte, want proto.Message) {
	t.Helper()
	wire, err := proto.MarshalOptions{Deterministic: true}.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, wire) {
		t.Fatalf("encoded\n% x, the generated code\n% x", got, wire)
	}
}

func sameDigest(t *testing.T, got Digest, want *repb.Digest) {
	t.Helper()
	if string(got.Hash) != want.GetHash() || got.Size != want.GetSizeBytes() {
		t.Fatalf("digest %q/%d, want %v", got.Hash, got.Size, want)
	}
}

var someDigests = []*repb.Digest{
	{Hash: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	{Hash: "abc", SizeBytes: 1 << 40},
	{SizeBytes: -1},
	{},
}

func FuzzCodecFindMissing(f *testing.F) {
	seed(f,
		&repb.FindMissingBlobsRequest{},
		&repb.FindMissingBlobsRequest{InstanceName: "a/b", BlobDigests: someDigests, DigestFunction: repb.DigestFunction_BLAKE3},
	)
	f.Fuzz(func(t *testing.T, wire []byte, n int) {
		r := split(wire, n)
		defer r.Free()
		var m FindMissing
		digests, err := decodeFindMissing(&m, r)
		want := new(repb.FindMissingBlobsRequest)
		if !agree(t, err, proto.Unmarshal(wire, want)) {
			return
		}
		if m.Instance != want.InstanceName || m.Function != int32(want.DigestFunction) || len(digests) != len(want.BlobDigests) {
			t.Fatalf("%q, %d, %d digests, want %v", m.Instance, m.Function, len(digests), want)
		}
		var every []int
		for i, d := range digests {
			sameDigest(t, d, want.BlobDigests[i])
			every = append(every, i)
		}
		got := new(repb.FindMissingBlobsResponse)
		if err := proto.Unmarshal(m.Response(every).Bytes(), got); err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(got, &repb.FindMissingBlobsResponse{MissingBlobDigests: want.BlobDigests}) {
			t.Fatalf("response %v, want %v", got, want.BlobDigests)
		}
	})
}

func decodeFindMissing(m *FindMissing, r *Request) (digests []Digest, err error) {
	if err := m.Decode(r); err != nil {
		return nil, err
	}
	for i := range m.Digests {
		d, err := m.Digest(i)
		if err != nil {
			return nil, err
		}
		digests = append(digests, d)
	}
	return digests, nil
}

func FuzzCodecBatchUpdate(f *testing.F) {
	var requests []*repb.BatchUpdateBlobsRequest_Request
	for i, d := range someDigests {
		requests = append(requests, &repb.BatchUpdateBlobsRequest_Request{Digest: d, Data: make([]byte, i*100), Compressor: repb.Compressor_Value(i)})
	}
	seed(f,
		&repb.BatchUpdateBlobsRequest{},
		&repb.BatchUpdateBlobsRequest{InstanceName: "a", Requests: append(requests, &repb.BatchUpdateBlobsRequest_Request{}), DigestFunction: repb.DigestFunction_SHA1},
	)
	f.Fuzz(func(t *testing.T, wire []byte, n int) {
		r := split(wire, n)
		defer r.Free()
		var m BatchUpdate
		want := new(repb.BatchUpdateBlobsRequest)
		if !agree(t, m.Decode(r), proto.Unmarshal(wire, want)) {
			return
		}
		if m.Instance != want.InstanceName || m.Function != int32(want.DigestFunction) || len(m.Blobs) != len(want.Requests) {
			t.Fatalf("%q, %d, %d blobs, want %v", m.Instance, m.Function, len(m.Blobs), want)
		}
		response := new(repb.BatchUpdateBlobsResponse)
		status := make([]Status, len(m.Blobs))
		for i, b := range m.Blobs {
			w := want.Requests[i]
			sameDigest(t, b.Digest, w.Digest)
			if b.HasDigest != (w.Digest != nil) || !bytes.Equal(b.Data, w.Data) || b.Compressor != int32(w.Compressor) {
				t.Fatalf("blob %d is %v, want %v", i, b, w)
			}
			st := &statuspb.Status{Code: int32(i), Message: w.Digest.GetHash()}
			status[i] = Status{Code: st.Code, Message: st.Message}
			response.Responses = append(response.Responses, &repb.BatchUpdateBlobsResponse_Response{Digest: known(w.Digest), Status: st})
		}
		same(t, m.Response(status).Bytes(), response)
	})
}

// known returns d without unknown fields, which we do not send back.
func known(d *repb.Digest) *repb.Digest {
	if d == nil {
		return nil
	}
	return &repb.Digest{Hash: d.Hash, SizeBytes: d.SizeBytes}
}

func FuzzCodecBatchRead(f *testing.F) {
	seed(f,
		&repb.BatchReadBlobsRequest{},
		&repb.BatchReadBlobsRequest{InstanceName: "a", Digests: someDigests, DigestFunction: 9, AcceptableCompressors: []repb.Compressor_Value{0, 1, 300}},
	)
	f.Add([]byte("\x18\x01\x18\x02"), 1) // unpacked
	f.Fuzz(func(t *testing.T, wire []byte, n int) {
		r := split(wire, n)
		defer r.Free()
		var m BatchRead
		want := new(repb.BatchReadBlobsRequest)
		if !agree(t, m.Decode(r), proto.Unmarshal(wire, want)) {
			return
		}
		if m.Instance != want.InstanceName || m.Function != int32(want.DigestFunction) || len(m.Digests) != len(want.Digests) ||
			m.AcceptZstd != slices.Contains(want.AcceptableCompressors, repb.Compressor_ZSTD) {
			t.Fatalf("%v, want %v", m, want)
		}
		room := 0
		for i := range m.Digests {
			room += BatchReadOverhead(&m.Digests[i]) + 200
		}
		out := NewBatchReadResponse(room)
		response := new(repb.BatchReadBlobsResponse)
		for i := range m.Digests {
			sameDigest(t, m.Digests[i], want.Digests[i])
			response.Responses = append(response.Responses, addRead(t, out, &m.Digests[i], i))
		}
		got := out.Response().Bytes()
		parsed := new(repb.BatchReadBlobsResponse)
		if err := proto.Unmarshal(got, parsed); err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(parsed, response) || len(got) != proto.Size(response) || len(got) > room {
			t.Fatalf("%d bytes in room of %d: %v, want %v", len(got), room, parsed, response)
		}
	})
}

// addRead adds a blob or a failure and returns the message that it is.
func addRead(t *testing.T, out *BatchReadResponse, d *Digest, i int) *repb.BatchReadBlobsResponse_Response {
	want := &repb.BatchReadBlobsResponse_Response{
		Digest: &repb.Digest{Hash: string(d.Hash), SizeBytes: d.Size},
		Status: &statuspb.Status{},
	}
	if i%3 == 2 {
		want.Status = &statuspb.Status{Code: 5, Message: "not here", Details: []*anypb.Any{{TypeUrl: "x"}}}
		detail, err := proto.Marshal(want.Status.Details[0])
		if err != nil {
			t.Fatal(err)
		}
		out.AddFailure(d, Status{Code: 5, Message: "not here", Details: [][]byte{detail}}, out.Room())
		return want
	}
	mark := out.Mark()
	out.AddBlob(d, 7, false)
	out.Retract(mark)
	want.Data = bytes.Repeat([]byte{byte(i)}, min(i, 200))
	want.Compressor = repb.Compressor_Value(i % 2)
	copy(out.AddBlob(d, len(want.Data), want.Compressor == repb.Compressor_ZSTD), want.Data)
	return want
}

func FuzzCodecRead(f *testing.F) {
	seed(f, &bspb.ReadRequest{}, &bspb.ReadRequest{ResourceName: "blobs/a/1", ReadOffset: 5, ReadLimit: -1})
	f.Fuzz(func(t *testing.T, wire []byte, n int) {
		r := split(wire, n)
		defer r.Free()
		var m Read
		want := new(bspb.ReadRequest)
		if !agree(t, m.Decode(r), proto.Unmarshal(wire, want)) {
			return
		}
		if string(m.Name) != want.ResourceName || m.Offset != want.ReadOffset || m.Limit != want.ReadLimit {
			t.Fatalf("%+v, want %v", m, want)
		}
		if len(wire) == 0 {
			return // a ReadResponse without data is never sent
		}
		b := append(make([]byte, MaxReadHeaderSize), wire...)
		start := PutReadHeader(b, MaxReadHeaderSize, len(wire))
		same(t, b[start:], &bspb.ReadResponse{Data: wire})
	})
}

func FuzzCodecWrite(f *testing.F) {
	seed(f, &bspb.WriteRequest{}, &bspb.WriteRequest{ResourceName: "uploads/x/blobs/a/1", WriteOffset: 5, FinishWrite: true, Data: []byte("hello")})
	f.Fuzz(func(t *testing.T, wire []byte, n int) {
		r := split(wire, n)
		defer r.Free()
		var m Write
		want := new(bspb.WriteRequest)
		if !agree(t, m.Decode(r), proto.Unmarshal(wire, want)) {
			return
		}
		data := bytes.Join(m.Data, nil)
		if string(m.Name) != want.ResourceName || m.Offset != want.WriteOffset || m.Finish != want.FinishWrite || !bytes.Equal(data, want.Data) || m.Size != len(data) {
			t.Fatalf("%+v, want %v", m, want)
		}
		same(t, WriteResponse(m.Offset).Bytes(), &bspb.WriteResponse{CommittedSize: m.Offset})
	})
}

func FuzzCodecQueryWriteStatus(f *testing.F) {
	seed(f, &bspb.QueryWriteStatusRequest{}, &bspb.QueryWriteStatusRequest{ResourceName: "uploads/x/blobs/a/1"})
	f.Fuzz(func(t *testing.T, wire []byte, n int) {
		r := split(wire, n)
		defer r.Free()
		var m QueryWriteStatus
		want := new(bspb.QueryWriteStatusRequest)
		if !agree(t, m.Decode(r), proto.Unmarshal(wire, want)) {
			return
		}
		if string(m.Name) != want.ResourceName {
			t.Fatalf("%q, want %v", m.Name, want)
		}
		got := QueryWriteStatusResponse(int64(n), n%2 == 0)
		same(t, got.Bytes(), &bspb.QueryWriteStatusResponse{CommittedSize: int64(n), Complete: n%2 == 0})
	})
}
