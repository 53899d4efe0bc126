package reapi_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/reapi"
)

// findMissing returns the hashes that are missing.
func (h *harness) findMissing(req *repb.FindMissingBlobsRequest) ([]string, error) {
	resp, err := h.cas.FindMissingBlobs(h.ctx(), req)
	var hashes []string
	for _, d := range resp.GetMissingBlobDigests() {
		hashes = append(hashes, fmt.Sprintf("%s/%d", d.Hash, d.SizeBytes))
	}
	return hashes, err
}

func text1(d *repb.Digest) string { return fmt.Sprintf("%s/%d", d.Hash, d.SizeBytes) }

func TestRule01_EmptyBlobIsAlwaysThere(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	for _, fn := range digest.Supported() {
		empty := protoDigest(digest.Empty(fn))
		missing, err := h.findMissing(&repb.FindMissingBlobsRequest{BlobDigests: []*repb.Digest{empty}, DigestFunction: repb.DigestFunction_Value(fn)})
		if err != nil || len(missing) != 0 {
			t.Errorf("%v: FindMissing = %v, %v", fn, missing, err)
		}
		resp, err := h.cas.BatchReadBlobs(h.ctx(), &repb.BatchReadBlobsRequest{Digests: []*repb.Digest{empty}, DigestFunction: repb.DigestFunction_Value(fn)})
		if err != nil || len(resp.Responses) != 1 || resp.Responses[0].GetStatus().GetCode() != 0 || len(resp.Responses[0].Data) != 0 {
			t.Errorf("%v: BatchRead = %v, %v", fn, resp, err)
		}
		up, err := h.cas.BatchUpdateBlobs(h.ctx(), &repb.BatchUpdateBlobsRequest{
			Requests: []*repb.BatchUpdateBlobsRequest_Request{{Digest: empty}}, DigestFunction: repb.DigestFunction_Value(fn),
		})
		if err != nil || len(up.Responses) != 1 || up.Responses[0].GetStatus().GetCode() != 0 {
			t.Errorf("%v: BatchUpdate = %v, %v", fn, up, err)
		}
	}
	if creates, puts, finds := h.store.counts(); creates+puts != 0 || finds != len(digest.Supported()) {
		t.Errorf("the store was asked: %d creates, %d puts, %d finds", creates, puts, finds)
	}
}

func TestRule01_EmptyBlobAmongOthers(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	there, absent, absent2 := h.put([]byte("there")), sha256Of([]byte("absent")), sha256Of([]byte("absent too"))
	missing, err := h.findMissing(&repb.FindMissingBlobsRequest{BlobDigests: []*repb.Digest{
		sha256Of(nil), absent, there, sha256Of(nil), absent2, sha256Of(nil), absent,
	}})
	want := []string{text1(absent), text1(absent2), text1(absent)}
	if err != nil || fmt.Sprint(missing) != fmt.Sprint(want) {
		t.Errorf("missing %v, %v, want %v", missing, err, want)
	}
}

func TestRule02_SizeIsPartOfTheDigest(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	data := []byte("hello")
	d := h.put(data)
	wrong := &repb.Digest{Hash: d.Hash, SizeBytes: 6}

	missing, err := h.findMissing(&repb.FindMissingBlobsRequest{BlobDigests: []*repb.Digest{wrong, d}})
	if err != nil || fmt.Sprint(missing) != fmt.Sprint([]string{text1(wrong)}) {
		t.Errorf("missing %v, %v", missing, err)
	}
	read, err := h.cas.BatchReadBlobs(h.ctx(), &repb.BatchReadBlobsRequest{Digests: []*repb.Digest{wrong}})
	if err != nil {
		t.Fatal(err)
	}
	if code := codes.Code(read.Responses[0].GetStatus().GetCode()); code != codes.NotFound {
		t.Errorf("BatchRead: %v", code)
	}
	for _, size := range []int64{0, 4, 6} {
		resp := h.update(t, &repb.BatchUpdateBlobsRequest_Request{Digest: &repb.Digest{Hash: d.Hash, SizeBytes: size}, Data: data})
		wantCode(t, status.FromProto(resp.Status).Err(), codes.InvalidArgument, "5 bytes")
	}
}

// update uploads one blob in a batch of its own.
func (h *harness) update(t *testing.T, r *repb.BatchUpdateBlobsRequest_Request) *repb.BatchUpdateBlobsResponse_Response {
	t.Helper()
	resp, err := h.cas.BatchUpdateBlobs(h.ctx(), &repb.BatchUpdateBlobsRequest{Requests: []*repb.BatchUpdateBlobsRequest_Request{r}})
	if err != nil || len(resp.Responses) != 1 {
		t.Fatalf("BatchUpdateBlobs = %v, %v", resp, err)
	}
	return resp.Responses[0]
}

func TestRule03_HashesAreLowerCaseHex(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	d := h.put([]byte("hello"))
	for name, hash := range map[string]string{
		"upper case": strings.ToUpper(d.Hash),
		"not hex":    strings.Repeat("g", 64),
		"short":      d.Hash[:63],
		"long":       d.Hash + "00",
		"empty":      "",
	} {
		bad := &repb.Digest{Hash: hash, SizeBytes: 5}
		_, err := h.findMissing(&repb.FindMissingBlobsRequest{BlobDigests: []*repb.Digest{bad}, DigestFunction: repb.DigestFunction_SHA256})
		wantCode(t, err, codes.InvalidArgument)
		resp, err := h.cas.BatchReadBlobs(h.ctx(), &repb.BatchReadBlobsRequest{Digests: []*repb.Digest{bad, d}, DigestFunction: repb.DigestFunction_SHA256})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		wantCode(t, status.FromProto(resp.Responses[0].Status).Err(), codes.InvalidArgument)
		if string(resp.Responses[1].Data) != "hello" {
			t.Errorf("%s: the other blob failed too: %v", name, resp.Responses[1])
		}
	}
}

func TestRule04_BatchUploadsAreVerified(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	good, bad := []byte("good"), []byte("evil")
	d := sha256Of(good)
	for name, r := range map[string]*repb.BatchUpdateBlobsRequest_Request{
		"other content":      {Digest: d, Data: bad},
		"short":              {Digest: d, Data: good[:3]},
		"long":               {Digest: d, Data: append(good, 'x')},
		"zstd other content": {Digest: d, Data: compress(bad), Compressor: repb.Compressor_ZSTD},
		"zstd short":         {Digest: d, Data: compress(good[:3]), Compressor: repb.Compressor_ZSTD},
		"zstd long":          {Digest: d, Data: compress([]byte("good and more")), Compressor: repb.Compressor_ZSTD},
		"no zstd":            {Digest: d, Data: good, Compressor: repb.Compressor_ZSTD},
		"zstd cut":           {Digest: d, Data: compress(good)[:8], Compressor: repb.Compressor_ZSTD},
		"no data":            {Digest: d},
		"unknown compressor": {Digest: d, Data: good, Compressor: repb.Compressor_DEFLATE},
		"odd compressor":     {Digest: d, Data: good, Compressor: 256},
	} {
		resp := h.update(t, r)
		if code := codes.Code(resp.GetStatus().GetCode()); code != codes.InvalidArgument {
			t.Errorf("%s: %v, want INVALID_ARGUMENT", name, resp.Status)
		}
		if !proto.Equal(resp.Digest, d) {
			t.Errorf("%s: the response's digest is %v", name, resp.Digest)
		}
		if h.has(d) {
			t.Fatalf("%s: the blob was stored", name)
		}
	}
}

func TestRule08_DigestFunction(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	data := []byte("hello")
	for _, fn := range digest.Supported() {
		d := protoDigest(digest.Of(fn, data))
		named := repb.DigestFunction_Value(fn)
		up, err := h.cas.BatchUpdateBlobs(h.ctx(), &repb.BatchUpdateBlobsRequest{
			Requests: []*repb.BatchUpdateBlobsRequest_Request{{Digest: d, Data: data}}, DigestFunction: named,
		})
		if err != nil || up.Responses[0].GetStatus().GetCode() != 0 {
			t.Fatalf("%v: BatchUpdate = %v, %v", fn, up, err)
		}
		missing, err := h.findMissing(&repb.FindMissingBlobsRequest{BlobDigests: []*repb.Digest{d}, DigestFunction: named})
		if err != nil || len(missing) != 0 {
			t.Errorf("%v: FindMissing = %v, %v", fn, missing, err)
		}
		if fn.Segment() != "" {
			continue // cannot be inferred
		}
		read, err := h.cas.BatchReadBlobs(h.ctx(), &repb.BatchReadBlobsRequest{Digests: []*repb.Digest{d}})
		if err != nil || string(read.Responses[0].Data) != "hello" {
			t.Errorf("%v inferred: BatchRead = %v, %v", fn, read, err)
		}
	}
}

func TestRule08_SameLengthIsNotSameFunction(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	d := h.put([]byte("hello"))
	missing, err := h.findMissing(&repb.FindMissingBlobsRequest{BlobDigests: []*repb.Digest{d}, DigestFunction: repb.DigestFunction_BLAKE3})
	if digest.BLAKE3.Supported() && (err != nil || len(missing) != 1) {
		t.Errorf("a SHA256 hash asked as BLAKE3: %v, %v, want it missing", missing, err)
	}
	if !digest.BLAKE3.Supported() {
		wantCode(t, err, codes.InvalidArgument, "BLAKE3")
	}
}

func TestRule08_FunctionNotOffered(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	d := h.put([]byte("hello"))
	for _, fn := range []repb.DigestFunction_Value{repb.DigestFunction_MURMUR3, 11, 255, 256 + 1, -1, 1 << 30} {
		_, err := h.findMissing(&repb.FindMissingBlobsRequest{BlobDigests: []*repb.Digest{d}, DigestFunction: fn})
		wantCode(t, err, codes.InvalidArgument, "digest")
		_, err = h.cas.BatchReadBlobs(h.ctx(), &repb.BatchReadBlobsRequest{Digests: []*repb.Digest{d}, DigestFunction: fn})
		wantCode(t, err, codes.InvalidArgument, "digest")
		_, err = h.cas.BatchUpdateBlobs(h.ctx(), &repb.BatchUpdateBlobsRequest{DigestFunction: fn, Requests: []*repb.BatchUpdateBlobsRequest_Request{{Digest: d}}})
		wantCode(t, err, codes.InvalidArgument, "digest")
	}
}

func TestRule18_OneFunctionForAllDigests(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	_, err := h.findMissing(&repb.FindMissingBlobsRequest{BlobDigests: []*repb.Digest{
		sha256Of([]byte("a")), protoDigest(digest.Of(digest.SHA1, []byte("a"))),
	}})
	wantCode(t, err, codes.InvalidArgument, "blob_digests[1]")
}

func TestRule18_FindMissingFails(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	for _, e := range storeErrors {
		h.store.set(func(s *faults) { s.findErr = e.err })
		_, err := h.findMissing(&repb.FindMissingBlobsRequest{BlobDigests: []*repb.Digest{sha256Of([]byte("x"))}})
		wantCode(t, err, e.code, e.err.Error())
		wantRetryInfo(t, status.Convert(err), e.retry)
	}
}

func wantRetryInfo(t *testing.T, st *status.Status, want bool) {
	t.Helper()
	got := false
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok && info.GetRetryDelay().AsDuration() > 0 {
			got = true
		}
	}
	if got != want {
		t.Errorf("%v: RetryInfo %v, want %v", st, got, want)
	}
}

func TestRule18_FindMissingNothing(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	if missing, err := h.findMissing(&repb.FindMissingBlobsRequest{}); err != nil || len(missing) != 0 {
		t.Errorf("FindMissing of nothing = %v, %v", missing, err)
	}
}

// TestRule18_FindMissingMany asks for as many digests as Bazel puts in a
// message, over many HTTP/2 frames.
func TestRule18_FindMissingMany(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	var digests []*repb.Digest
	var want []string
	for i := range 15_000 {
		data := fmt.Appendf(nil, "blob %d", i)
		if i%3 == 0 {
			digests = append(digests, h.put(data))
			continue
		}
		d := sha256Of(data)
		digests = append(digests, d)
		want = append(want, text1(d))
	}
	got, err := h.findMissing(&repb.FindMissingBlobsRequest{BlobDigests: digests, DigestFunction: repb.DigestFunction_SHA256})
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%d missing, %v, want %d", len(got), err, len(want))
	}
}

func TestRule19_EachBlobFailsAlone(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{MaxBlobSize: 1000})
	good := []byte("good")
	big := make([]byte, 1001)
	resp, err := h.cas.BatchUpdateBlobs(h.ctx(), &repb.BatchUpdateBlobsRequest{Requests: []*repb.BatchUpdateBlobsRequest_Request{
		{},
		{Digest: &repb.Digest{}, Data: good},
		{Digest: &repb.Digest{Hash: "x", SizeBytes: 4}, Data: good},
		{Digest: &repb.Digest{Hash: sha256Of(good).Hash, SizeBytes: -1}, Data: good},
		{Digest: sha256Of(big), Data: big},
		{Digest: sha256Of(good), Data: good},
		{Digest: sha256Of(good), Data: good},
		{Digest: sha256Of([]byte("x")), Data: []byte("y")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var got []codes.Code
	for _, r := range resp.Responses {
		got = append(got, codes.Code(r.GetStatus().GetCode()))
	}
	bad := codes.InvalidArgument
	want := []codes.Code{bad, bad, bad, bad, bad, codes.OK, codes.OK, bad}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("codes %v, want %v: %v", got, want, resp)
	}
	wantCode(t, status.FromProto(resp.Responses[0].Status).Err(), bad, "digest is not set")
	if resp.Responses[0].Digest != nil || resp.Responses[1].Digest == nil {
		t.Errorf("digests %v and %v, want as requested", resp.Responses[0].Digest, resp.Responses[1].Digest)
	}
	if !h.has(sha256Of(good)) {
		t.Error("the good blob was not stored")
	}
	if _, puts, _ := h.store.counts(); puts != 1 {
		t.Errorf("%d puts, want one for the batch", puts)
	}
}

func TestRule19_BatchUpdateErrors(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	data := []byte("x")
	for _, e := range storeErrors {
		h.store.set(func(s *faults) { s.putErr = e.err })
		resp := h.update(t, &repb.BatchUpdateBlobsRequest_Request{Digest: sha256Of(data), Data: data})
		st := status.FromProto(resp.Status)
		wantCode(t, st.Err(), e.code, e.err.Error())
		wantRetryInfo(t, st, e.retry)
	}
}

func TestRule19_BatchReadErrors(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	for _, e := range storeErrors {
		h.store.set(func(s *faults) { s.getErr = e.err })
		resp, err := h.cas.BatchReadBlobs(h.ctx(), &repb.BatchReadBlobsRequest{Digests: []*repb.Digest{sha256Of([]byte("x"))}})
		if err != nil {
			t.Fatal(err)
		}
		st := status.FromProto(resp.Responses[0].Status)
		wantCode(t, st.Err(), e.code, e.err.Error())
		wantRetryInfo(t, st, e.retry)
	}
}

func TestRule19_BatchLimit(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	limit := int(h.capabilities(t).GetCacheCapabilities().GetMaxBatchTotalSizeBytes())
	if limit <= 0 || limit >= 4<<20 {
		t.Fatalf("max_batch_total_size_bytes is %d, want below gRPC's 4 MiB", limit)
	}
	for _, n := range []int{1, 2, 4000} {
		blobs := make([][]byte, n)
		all := random(uint64(n), limit)
		for i := range blobs {
			blobs[i] = all[i*limit/n : (i+1)*limit/n]
		}
		h.roundTrip(t, blobs)
	}
	one := [][]byte{random(1, limit+1)}
	_, err := h.cas.BatchUpdateBlobs(h.ctx(), updateRequest(one))
	wantCode(t, err, codes.InvalidArgument, fmt.Sprint(limit))
	_, err = h.cas.BatchReadBlobs(h.ctx(), &repb.BatchReadBlobsRequest{Digests: []*repb.Digest{h.put(one[0])}})
	wantCode(t, err, codes.InvalidArgument, fmt.Sprint(limit))
	huge := &repb.Digest{Hash: sha256Of(nil).Hash, SizeBytes: 1<<63 - 1}
	_, err = h.cas.BatchReadBlobs(h.ctx(), &repb.BatchReadBlobsRequest{Digests: []*repb.Digest{huge, huge, huge}})
	wantCode(t, err, codes.InvalidArgument, fmt.Sprint(limit))
}

func updateRequest(blobs [][]byte) *repb.BatchUpdateBlobsRequest {
	req := &repb.BatchUpdateBlobsRequest{DigestFunction: repb.DigestFunction_SHA256}
	for _, b := range blobs {
		req.Requests = append(req.Requests, &repb.BatchUpdateBlobsRequest_Request{Digest: sha256Of(b), Data: b})
	}
	return req
}

// roundTrip uploads and reads blobs in one batch each, with a client whose
// message limit is gRPC's default.
func (h *harness) roundTrip(t *testing.T, blobs [][]byte) {
	t.Helper()
	req := updateRequest(blobs)
	up, err := h.cas.BatchUpdateBlobs(h.ctx(), req)
	if err != nil {
		t.Fatalf("%d blobs: %v", len(blobs), err)
	}
	read := &repb.BatchReadBlobsRequest{}
	for i, r := range up.Responses {
		if r.Status.GetCode() != 0 || !proto.Equal(r.Digest, req.Requests[i].Digest) {
			t.Fatalf("blob %d of %d: %v", i, len(blobs), r)
		}
		read.Digests = append(read.Digests, r.Digest)
	}
	got, err := h.cas.BatchReadBlobs(h.ctx(), read)
	if err != nil {
		t.Fatalf("%d blobs: %v", len(blobs), err)
	}
	for i, r := range got.Responses {
		if r.Status.GetCode() != 0 || !bytes.Equal(r.Data, blobs[i]) || !proto.Equal(r.Digest, read.Digests[i]) {
			t.Fatalf("blob %d of %d: %d bytes, %v", i, len(blobs), len(r.Data), r.Status)
		}
	}
	if size := proto.Size(got); size > reapi.MaxReplyBytes {
		t.Errorf("reply of %d bytes", size)
	}
}

// TestRule19_ReplyOverflow asks for so many small blobs that their framing
// fills the reply: those that do not fit fail alone.
func TestRule19_ReplyOverflow(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	d := h.put(random(1, 120))
	req := &repb.BatchReadBlobsRequest{}
	for range 25_000 {
		req.Digests = append(req.Digests, d)
	}
	resp, err := h.cas.BatchReadBlobs(h.ctx(), req)
	if err != nil {
		t.Fatal(err)
	}
	served := 0
	for _, r := range resp.Responses {
		switch codes.Code(r.Status.GetCode()) {
		case codes.OK:
			served++
		case codes.ResourceExhausted:
		default:
			t.Fatalf("%v", r)
		}
	}
	if size := proto.Size(resp); served < 10_000 || served == len(req.Digests) || size > reapi.MaxReplyBytes {
		t.Errorf("%d of %d blobs served in %d bytes", served, len(req.Digests), size)
	}
	for range 50_000 {
		req.Digests = append(req.Digests, d)
	}
	req.Digests = req.Digests[:60_000]
	for _, d := range req.Digests {
		d.SizeBytes = 0
	}
	_, err = h.cas.BatchReadBlobs(h.ctx(), req)
	wantCode(t, err, codes.InvalidArgument, "60000 digests")
}

func TestRule20_BatchReadCompressors(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	plain, packed, tiny := text(1, 10_000), text(2, 10_000), []byte("x")
	digests := []*repb.Digest{h.put(plain), h.putZstd(packed), h.putZstd(tiny)}
	want := [][]byte{plain, packed, tiny}
	for _, accept := range [][]repb.Compressor_Value{
		nil, {repb.Compressor_IDENTITY}, {repb.Compressor_ZSTD}, {repb.Compressor_IDENTITY, repb.Compressor_ZSTD}, {repb.Compressor_DEFLATE, repb.Compressor_BROTLI},
	} {
		resp, err := h.cas.BatchReadBlobs(h.ctx(), &repb.BatchReadBlobsRequest{Digests: digests, AcceptableCompressors: accept})
		if err != nil {
			t.Fatal(err)
		}
		zstd := strings.Contains(fmt.Sprint(accept), "ZSTD")
		for i, r := range resp.Responses {
			data := r.Data
			if r.Compressor == repb.Compressor_ZSTD {
				data = decompress(t, data)
			}
			if !bytes.Equal(data, want[i]) {
				t.Errorf("accept %v: blob %d has %d bytes, %v", accept, i, len(data), r.Status)
			}
			wantZstd := zstd && i == 1 // 0 is stored as identity, 2 is smaller so
			if (r.Compressor == repb.Compressor_ZSTD) != wantZstd {
				t.Errorf("accept %v: blob %d came as %v", accept, i, r.Compressor)
			}
		}
	}
}

func TestBatchUpdateZstd(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	data := text(1, 100_000)
	d := sha256Of(data)
	resp := h.update(t, &repb.BatchUpdateBlobsRequest_Request{Digest: d, Data: compress(data), Compressor: repb.Compressor_ZSTD})
	if resp.GetStatus().GetCode() != 0 {
		t.Fatal(resp)
	}
	read, err := h.cas.BatchReadBlobs(h.ctx(), &repb.BatchReadBlobsRequest{Digests: []*repb.Digest{d, d}}) // a digest twice
	if err != nil || !bytes.Equal(read.Responses[0].Data, data) || !bytes.Equal(read.Responses[1].Data, data) {
		t.Errorf("read back: %v", err)
	}
}

// TestBatchUpdateZstdBomb uploads little that claims to become much.
func TestBatchUpdateZstdBomb(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	d := sha256Of([]byte("x"))
	d.SizeBytes = 1 << 40
	resp := h.update(t, &repb.BatchUpdateBlobsRequest_Request{Digest: d, Data: compress(make([]byte, 1<<20)), Compressor: repb.Compressor_ZSTD})
	wantCode(t, status.FromProto(resp.Status).Err(), codes.InvalidArgument, "max_batch_total_size_bytes")
	if _, puts, _ := h.store.counts(); puts != 0 {
		t.Error("it reached the store")
	}
}

func TestRule27_MaxBlobSize(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{MaxBlobSize: 100})
	if got := h.capabilities(t).GetCacheCapabilities().GetMaxCasBlobSizeBytes(); got != 100 {
		t.Errorf("max_cas_blob_size_bytes is %d", got)
	}
	for n, want := range map[int]codes.Code{100: codes.OK, 101: codes.InvalidArgument} {
		data := random(uint64(n), n)
		for _, compressor := range []repb.Compressor_Value{0, 1} {
			sent := data
			if compressor == 1 {
				sent = compress(data)
			}
			resp := h.update(t, &repb.BatchUpdateBlobsRequest_Request{Digest: sha256Of(data), Data: sent, Compressor: compressor})
			wantCode(t, status.FromProto(resp.Status).Err(), want)
		}
		_, err := h.write(chunked(writeName(sha256Of(data)), data, 1000)...)
		wantCode(t, err, want)
		_, err = h.write(chunked(writeName(sha256Of(data)), data, 10)...)
		wantCode(t, err, want)
	}
}

func TestRule06_InstanceNames(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{Namespace: blobstore.Namespace{IsolateCAS: true}})
	data := []byte("hello")
	up, err := h.cas.BatchUpdateBlobs(h.ctx(), &repb.BatchUpdateBlobsRequest{InstanceName: "team/one", Requests: updateRequest([][]byte{data}).Requests})
	if err != nil || up.Responses[0].GetStatus().GetCode() != 0 {
		t.Fatalf("%v, %v", up, err)
	}
	for instance, want := range map[string]int{"team/one": 0, "team/two": 1, "": 1} {
		missing, err := h.findMissing(&repb.FindMissingBlobsRequest{InstanceName: instance, BlobDigests: []*repb.Digest{sha256Of(data)}})
		if err != nil || len(missing) != want {
			t.Errorf("instance %q: %v, %v, want %d missing", instance, missing, err, want)
		}
		read, err := h.cas.BatchReadBlobs(h.ctx(), &repb.BatchReadBlobsRequest{InstanceName: instance, Digests: []*repb.Digest{sha256Of(data)}})
		if err != nil || (len(read.Responses[0].Data) > 0) != (want == 0) {
			t.Errorf("instance %q: read %v, %v", instance, read, err)
		}
	}
	for _, bad := range []string{"a/blobs", "uploads", "x/compressed-blobs/y", "actions", "actionResults", "operations", "capabilities", "a//b", "/a", "a/", strings.Repeat("i", 256)} {
		_, err := h.findMissing(&repb.FindMissingBlobsRequest{InstanceName: bad})
		wantCode(t, err, codes.InvalidArgument, "instance")
		_, err = h.cas.BatchUpdateBlobs(h.ctx(), &repb.BatchUpdateBlobsRequest{InstanceName: bad})
		wantCode(t, err, codes.InvalidArgument, "instance")
		_, err = h.cas.BatchReadBlobs(h.ctx(), &repb.BatchReadBlobsRequest{InstanceName: bad})
		wantCode(t, err, codes.InvalidArgument, "instance")
		_, err = h.caps.GetCapabilities(h.ctx(), &repb.GetCapabilitiesRequest{InstanceName: bad})
		wantCode(t, err, codes.InvalidArgument, "instance")
	}
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{ReadOnly: true})
	data := []byte("hello")
	d := h.put(data)
	_, err := h.cas.BatchUpdateBlobs(h.ctx(), updateRequest([][]byte{data}))
	wantCode(t, err, codes.PermissionDenied, "read-only")
	_, err = h.write(chunked(writeName(d), data, 100)...)
	wantCode(t, err, codes.PermissionDenied, "read-only")
	if got, _, err := h.read(readRequest(d)); err != nil || string(got) != "hello" {
		t.Errorf("read %q, %v", got, err)
	}
	if h.capabilities(t).GetCacheCapabilities().GetActionCacheUpdateCapabilities().GetUpdateEnabled() {
		t.Error("update_enabled is true")
	}
}

// TestRule28And29_SplitAndSpliceAreRefused also sees that the capabilities do
// not offer them, since clients have no fallback.
func TestRule28And29_SplitAndSpliceAreRefused(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	_, err := h.cas.SplitBlob(h.ctx(), &repb.SplitBlobRequest{BlobDigest: sha256Of(nil)})
	wantCode(t, err, codes.Unimplemented, "split_blob_support")
	_, err = h.cas.SpliceBlob(h.ctx(), &repb.SpliceBlobRequest{BlobDigest: sha256Of(nil)})
	wantCode(t, err, codes.Unimplemented, "splice_blob_support")
	chunks, err := h.cas.GetChunkMapping(h.ctx(), &repb.GetChunkMappingRequest{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = chunks.Recv()
	wantCode(t, err, codes.Unimplemented, "split_blob_support")
	register, err := h.cas.RegisterChunkMapping(h.ctx())
	if err != nil {
		t.Fatal(err)
	}
	_, err = register.CloseAndRecv()
	wantCode(t, err, codes.Unimplemented, "splice_blob_support")
}
