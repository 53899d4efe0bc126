package reapi_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	bspb "google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/larder-build/larder/server/blobstore/memory"
	"github.com/larder-build/larder/server/reapi"
)

func TestRule04_StreamedUploadsAreVerified(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	good, bad := random(1, 100_000), random(2, 100_000)
	d := sha256Of(good)
	for _, chunk := range []int{16 << 10, 1 << 20} { // streamed, and in one message
		for name, data := range map[string][]byte{"other": bad, "short": good[:99_999], "long": append(slices.Clip(good), 'x'), "none": nil} {
			_, err := h.write(chunked(writeName(d), data, chunk)...)
			wantCode(t, err, codes.InvalidArgument, d.Hash)
			_, err = h.write(chunked(writeZstdName(d), compress(data), chunk)...)
			wantCode(t, err, codes.InvalidArgument, d.Hash)
			if h.has(d) {
				t.Fatalf("%s in chunks of %d: the blob was stored", name, chunk)
			}
		}
		_, err := h.write(chunked(writeZstdName(d), good, chunk)...)
		wantCode(t, err, codes.InvalidArgument, "zstd")
		_, err = h.write(chunked(writeZstdName(d), compress(good)[:50_000], chunk)...)
		wantCode(t, err, codes.InvalidArgument)
	}
	if resp, err := h.query(writeName(d)); err != nil || resp.CommittedSize != 0 || resp.Complete {
		t.Errorf("after a mismatch QueryWriteStatus = %v, %v, want nothing kept", resp, err)
	}
}

func TestUploadInChunks(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	for _, chunk := range []int{6, 1000, 16 << 10, 64<<10 + 1, 2 << 20} {
		for i, n := range []int{1, 6, 7, 16 << 10, 40_000, 3<<20 + 5} {
			if n/chunk > 3200 {
				continue
			}
			data := text(uint64(chunk*10+i), n)
			d := sha256Of(data)
			resp, err := h.write(chunked(writeName(d), data, chunk)...)
			if err != nil || resp.CommittedSize != int64(n) {
				t.Errorf("%d bytes in chunks of %d: %v, %v", n, chunk, resp, err)
			}
			h.wantRead(t, fmt.Sprintf("%d bytes in chunks of %d", n, chunk), d, data)

			data = random(uint64(chunk*10+i), n)
			d = sha256Of(data)
			packed := compress(data)
			resp, err = h.write(chunked(writeZstdName(d), packed, chunk)...)
			if err != nil || resp.CommittedSize != int64(len(packed)) {
				t.Errorf("%d bytes as zstd in chunks of %d: %v, %v, want %d", n, chunk, resp, err, len(packed))
			}
			h.wantRead(t, fmt.Sprintf("%d bytes as zstd in chunks of %d", n, chunk), d, data)
		}
	}
}

func TestSmallUploadIsOneWrite(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	for _, n := range []int{1, 1000, 17_000, 300_000} {
		data := random(uint64(n), n)
		if _, err := h.write(chunked(writeName(sha256Of(data)), data, 1<<20)...); err != nil {
			t.Fatal(err)
		}
	}
	if creates, puts, _ := h.store.counts(); creates != 0 || puts != 4 {
		t.Errorf("%d creates and %d puts, want 4 puts", creates, puts)
	}
}

func TestRule05_WriteNames(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	for i, form := range []string{"%s", "main/%s", "a/b/c/%s", "%s/some/metadata.txt", "x/%s/"} { // rules 6 and 9
		data := fmt.Appendf(nil, "blob %d", i)
		if _, err := h.write(chunked(fmt.Sprintf(form, writeName(sha256Of(data))), data, 10)...); err != nil {
			t.Errorf("%s: %v", form, err)
		}
		if !h.has(sha256Of(data)) {
			t.Errorf("%s: not stored", form)
		}
	}
	d := sha256Of([]byte("x"))
	for _, bad := range []string{"", "x", readName(d), "uploads//" + readName(d), "uploads/id", "uploads/id/blobs/zz/1", "a/uploads/b/uploads/c/" + readName(d)} {
		_, err := h.write(&bspb.WriteRequest{ResourceName: bad, Data: []byte("x"), FinishWrite: true})
		wantCode(t, err, codes.InvalidArgument, "resource_name")
		_, err = h.query(bad)
		wantCode(t, err, codes.InvalidArgument, "resource_name")
	}
}

func TestWriteNamesWithinAStream(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	data := random(1, 1000)
	name := writeName(sha256Of(data))
	messages := chunked(name, data, 100)
	for _, m := range messages {
		m.ResourceName = name
	}
	if _, err := h.write(messages...); err != nil {
		t.Errorf("name in every message: %v", err)
	}
	data = random(2, 1000)
	messages = chunked(writeName(sha256Of(data)), data, 100)
	messages[3].ResourceName = name
	_, err := h.write(messages...)
	wantCode(t, err, codes.InvalidArgument, "changed", name)
}

func TestWriteOddStreams(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	_, err := h.write()
	wantCode(t, err, codes.InvalidArgument, "no message")
	_, err = h.write(&bspb.WriteRequest{})
	wantCode(t, err, codes.InvalidArgument, "resource_name")

	data := random(1, 30_000)
	d := sha256Of(data)
	empty := &bspb.WriteRequest{ResourceName: writeName(d)}
	messages := append([]*bspb.WriteRequest{empty}, chunked("", data, 10_000)...)
	messages = append(messages[:2], append([]*bspb.WriteRequest{{WriteOffset: 10_000}}, messages[2:]...)...)
	messages[len(messages)-1].FinishWrite = false
	messages = append(messages, &bspb.WriteRequest{WriteOffset: 30_000, FinishWrite: true})
	resp, err := h.write(messages...)
	if err != nil || resp.CommittedSize != 30_000 {
		t.Errorf("empty messages at the begin, between, and at the end: %v, %v", resp, err)
	}
	h.wantRead(t, "with empty messages", d, data)

	data = random(2, 1000)
	_, err = h.write(&bspb.WriteRequest{ResourceName: writeName(sha256Of(data)), WriteOffset: -1, Data: data})
	wantCode(t, err, codes.InvalidArgument, "-1")
}

// TestMessagesAfterFinishWrite sends on when the upload is finished: what was
// finished counts.
func TestMessagesAfterFinishWrite(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	data := random(1, 30_000)
	d := sha256Of(data)
	messages := append(chunked(writeName(d), data, 10_000), &bspb.WriteRequest{WriteOffset: 30_000, Data: []byte("more")})
	if resp, err := h.write(messages...); err != nil || resp.CommittedSize != 30_000 {
		t.Errorf("%v, %v", resp, err)
	}
	h.wantRead(t, "finished", d, data)
	resp, err := h.write(&bspb.WriteRequest{ResourceName: writeName(d), WriteOffset: 30_000, Data: []byte("more"), FinishWrite: true})
	if err != nil || resp.CommittedSize != 30_000 {
		t.Errorf("a write to the finished upload: %v, %v, want it to be there already", resp, err)
	}
	h.wantRead(t, "written again", d, data)
}

func TestRule10_Offsets(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	data := random(1, 50_000)
	d := sha256Of(data)
	packed := compress(data)
	for name, offset := range map[string]int64{"behind": 9_999, "ahead": 10_001, "zero": 0, "negative": -1} {
		for upload, sent := range map[string][]byte{writeName(d): data, writeZstdName(d): packed} {
			messages := chunked(upload, sent, 10_000)
			messages[1].WriteOffset = offset
			_, err := h.write(messages...)
			wantCode(t, err, codes.InvalidArgument, fmt.Sprint(offset), "10000")
			if h.has(d) {
				t.Fatalf("%s: stored", name)
			}
		}
	}
	_, err := h.write(&bspb.WriteRequest{ResourceName: "uploads/other/" + readName(d), WriteOffset: 500, Data: data[500:], FinishWrite: true})
	wantCode(t, err, codes.InvalidArgument, "500", "committed size 0")
	_, err = h.write(&bspb.WriteRequest{ResourceName: writeZstdName(d), WriteOffset: 500, Data: packed[500:], FinishWrite: true})
	wantCode(t, err, codes.InvalidArgument, "500", "committed size 0")
}

func TestRule11_EarlyReturn(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	data := random(1, 100_000)
	d := h.put(data)
	for _, messages := range [][]*bspb.WriteRequest{
		chunked(writeName(d), data, 16<<10),
		chunked(writeName(d), data, 1<<20),
		{{ResourceName: writeName(d)}},
		{{ResourceName: writeName(d), WriteOffset: 77, Data: []byte("resumed somewhere")}},
	} {
		if resp, err := h.write(messages...); err != nil || resp.CommittedSize != 100_000 {
			t.Errorf("identity: %v, %v, want the size", resp, err)
		}
	}
	packed := compress(data)
	for _, chunk := range []int{16 << 10, 1 << 20} {
		if resp, err := h.write(chunked(writeZstdName(d), packed, chunk)...); err != nil || resp.CommittedSize != -1 {
			t.Errorf("zstd: %v, %v, want -1", resp, err)
		}
	}
	empty := sha256Of(nil)
	if resp, err := h.write(chunked(writeName(empty), nil, 1)...); err != nil || resp.CommittedSize != 0 {
		t.Errorf("empty: %v, %v", resp, err)
	}
	if creates, puts, _ := h.store.counts(); creates != 0 || puts != 0 {
		t.Errorf("%d creates and %d puts", creates, puts)
	}
}

// TestRule11_EarlyReturnMidway finishes a blob while another stream uploads
// it, which then ends.
func TestRule11_EarlyReturnMidway(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		encode func([]byte) []byte
		name   func(*repb.Digest) string
		want   int64
	}{
		"identity": {func(b []byte) []byte { return b }, writeName, 8 << 20},
		"zstd":     {compress, writeZstdName, -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t, reapi.Options{})
			data := random(1, 8<<20)
			d := sha256Of(data)
			messages := chunked(tt.name(d), tt.encode(data), 256<<10)
			stream, err := h.bs.Write(h.ctx())
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.Send(messages[0]); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the upload begins", func() bool { creates, _, _ := h.store.counts(); return creates == 1 })
			h.put(data)
			for _, m := range messages[1:9] { // 2 MiB, and the stream stays open
				if stream.Send(m) != nil {
					break
				}
			}
			resp := new(bspb.WriteResponse)
			if err := stream.RecvMsg(resp); err != nil || resp.CommittedSize != tt.want {
				t.Errorf("%v, %v, want committed size %d", resp, err, tt.want)
			}
			h.wantRead(t, "there", d, data)
		})
	}
}

// breakOff begins an upload, breaks its stream when the server has n bytes,
// and waits until the server has noticed.
func (h *harness) breakOff(t *testing.T, name string, data []byte, n int) {
	t.Helper()
	ctx, cancel := context.WithCancel(h.ctx())
	stream, err := h.bs.Write(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < n; at += 10_000 {
		m := &bspb.WriteRequest{WriteOffset: int64(at), Data: data[at:min(at+10_000, n)]}
		if at == 0 {
			m.ResourceName = name
		}
		if err := stream.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	h.waitCommitted(t, name, int64(n))
	cancel()
	if err := stream.RecvMsg(new(bspb.WriteResponse)); err == nil {
		t.Fatal("the cancelled upload succeeded")
	}
}

func (h *harness) waitCommitted(t *testing.T, name string, n int64) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d bytes are committed", n), func() bool {
		resp, err := h.query(name)
		if err != nil {
			t.Fatal(err)
		}
		return resp.CommittedSize == n && !resp.Complete
	})
}

func TestRule17_Resume(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	data := random(1, 200_000)
	d := sha256Of(data)
	name := writeName(d)
	if resp, err := h.query(name); err != nil || resp.CommittedSize != 0 || resp.Complete {
		t.Errorf("before: %v, %v", resp, err)
	}
	h.breakOff(t, name, data, 55_555)
	_, err := h.write(&bspb.WriteRequest{ResourceName: name, WriteOffset: 55_556, Data: data[55_556:], FinishWrite: true})
	wantCode(t, err, codes.InvalidArgument, "55556", "55555")
	h.waitCommitted(t, name, 55_555) // it is still there

	rest := chunked(name, data[55_555:], 16<<10)
	for _, m := range rest {
		m.WriteOffset += 55_555
	}
	if resp, err := h.write(rest...); err != nil || resp.CommittedSize != 200_000 {
		t.Errorf("resumed: %v, %v", resp, err)
	}
	h.wantRead(t, "resumed", d, data)
	if resp, err := h.query(name); err != nil || resp.CommittedSize != 200_000 || !resp.Complete {
		t.Errorf("after: %v, %v", resp, err)
	}
	if creates, puts, _ := h.store.counts(); creates != 1 || puts != 0 {
		t.Errorf("%d creates and %d puts, want the one that was resumed", creates, puts)
	}
}

// TestRule17_GivenUpForRoom drops a broken upload because the store needs its
// room; its client starts over.
func TestRule17_GivenUpForRoom(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	if h.srv.GiveUpUpload() {
		t.Error("there was an upload to give up")
	}
	data := random(1, 200_000)
	name := writeName(sha256Of(data))
	h.breakOff(t, name, data, 55_555)
	eventually(t, "the upload to be parked", h.srv.GiveUpUpload)
	h.waitCommitted(t, name, 0)
	if resp, err := h.write(chunked(name, data, 16<<10)...); err != nil || resp.CommittedSize != 200_000 {
		t.Errorf("from the begin: %v, %v", resp, err)
	}
}

// TestRule17_ResumeAfterDeadline lets the client's own deadline break
// the stream, as Bazel's 60 s do.
func TestRule17_ResumeAfterDeadline(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	data := random(1, 100_000)
	d := sha256Of(data)
	name := writeName(d)
	at := int64(0)
	for range 3 {
		ctx, cancel := context.WithTimeout(h.ctx(), 200*time.Millisecond)
		stream, err := h.bs.Write(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&bspb.WriteRequest{ResourceName: name, WriteOffset: at, Data: data[at : at+20_000]}); err != nil {
			t.Fatal(err)
		}
		wantCode(t, stream.RecvMsg(new(bspb.WriteResponse)), codes.DeadlineExceeded)
		cancel()
		at += 20_000
		h.waitCommitted(t, name, at)
	}
	resp, err := h.write(&bspb.WriteRequest{ResourceName: name, WriteOffset: at, Data: data[at:], FinishWrite: true})
	if err != nil || resp.CommittedSize != 100_000 {
		t.Errorf("%v, %v", resp, err)
	}
	h.wantRead(t, "resumed", d, data)
}

// TestRule17_OverlapIsSkipped resumes before the committed size, as a client
// does that asked while its broken stream's last bytes were on their way.
func TestRule17_OverlapIsSkipped(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	data := random(1, 100_000)
	d := sha256Of(data)
	name := writeName(d)
	h.breakOff(t, name, data, 50_000)
	rest := chunked(name, data[30_000:], 7_000)
	for _, m := range rest {
		m.WriteOffset += 30_000
	}
	if resp, err := h.write(rest...); err != nil || resp.CommittedSize != 100_000 {
		t.Errorf("%v, %v", resp, err)
	}
	h.wantRead(t, "resumed", d, data)
}

// TestRule17_StartOver begins again at 0 with the same upload id, now with the
// right bytes.
func TestRule17_StartOver(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	data := random(1, 100_000)
	d := sha256Of(data)
	h.breakOff(t, writeName(d), random(2, 100_000), 50_000)
	if resp, err := h.write(chunked(writeName(d), data, 10_000)...); err != nil || resp.CommittedSize != 100_000 {
		t.Errorf("%v, %v", resp, err)
	}
	h.wantRead(t, "started over", d, data)
}

// TestRule17_UploadsAreToldApart keeps uploads of the same id but another
// blob, form or instance apart.
func TestRule17_UploadsAreToldApart(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	data, other := random(1, 100_000), random(2, 100_000)
	h.breakOff(t, writeName(sha256Of(data)), data, 50_000)
	for _, name := range []string{writeName(sha256Of(other)), writeZstdName(sha256Of(data)), "inst/" + writeName(sha256Of(data)), "uploads/x/" + readName(sha256Of(data))} {
		if resp, err := h.query(name); err != nil || resp.CommittedSize != 0 || resp.Complete {
			t.Errorf("%s: %v, %v", name, resp, err)
		}
	}
	h.breakOff(t, writeName(sha256Of(other)), other, 20_000)
	h.waitCommitted(t, writeName(sha256Of(data)), 50_000)
	h.waitCommitted(t, writeName(sha256Of(other)), 20_000)
}

func TestRule17_FinishWriteMissing(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	data := random(1, 20_000)
	d := sha256Of(data)
	messages := chunked(writeName(d), data, 10_000)
	messages[1].FinishWrite = false
	if resp, err := h.write(messages...); err != nil || resp.CommittedSize != 20_000 {
		t.Errorf("%v, %v", resp, err)
	}
	if h.has(d) {
		t.Error("stored without finish_write")
	}
	h.waitCommitted(t, writeName(d), 20_000)
	resp, err := h.write(&bspb.WriteRequest{ResourceName: writeName(d), WriteOffset: 20_000, FinishWrite: true})
	if err != nil || resp.CommittedSize != 20_000 {
		t.Errorf("%v, %v", resp, err)
	}
	h.wantRead(t, "finished later", d, data)

	messages = chunked(writeZstdName(sha256Of([]byte("x"))), compress([]byte("x")), 5)
	messages[len(messages)-1].FinishWrite = false
	_, err = h.write(messages...)
	wantCode(t, err, codes.InvalidArgument, "finish_write")
}

// TestRule17_TakeOver resumes an upload whose first stream is still open: the
// first cannot write any more.
func TestRule17_TakeOver(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	data := random(1, 100_000)
	d := sha256Of(data)
	name := writeName(d)
	old, err := h.bs.Write(h.ctx())
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Send(&bspb.WriteRequest{ResourceName: name, Data: data[:10_000]}); err != nil {
		t.Fatal(err)
	}
	h.waitCommitted(t, name, 10_000)
	next, err := h.bs.Write(h.ctx())
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Send(&bspb.WriteRequest{ResourceName: name, WriteOffset: 10_000, Data: data[10_000:20_000]}); err != nil {
		t.Fatal(err)
	}
	h.waitCommitted(t, name, 20_000)
	if err := old.Send(&bspb.WriteRequest{WriteOffset: 10_000, Data: []byte("garbage"), FinishWrite: true}); err != nil {
		t.Fatal(err)
	}
	_, err = old.CloseAndRecv()
	wantCode(t, err, codes.Aborted, "resumed")
	if err := next.Send(&bspb.WriteRequest{WriteOffset: 20_000, Data: data[20_000:], FinishWrite: true}); err != nil {
		t.Fatal(err)
	}
	if resp, err := next.CloseAndRecv(); err != nil || resp.CommittedSize != 100_000 {
		t.Errorf("%v, %v", resp, err)
	}
	h.wantRead(t, "taken over", d, data)
}

// TestTwoStreamsOfOneUploadID both begin at 0; both succeed.
func TestTwoStreamsOfOneUploadID(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	data := random(1, 300_000)
	d := sha256Of(data)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if resp, err := h.write(chunked(writeName(d), data, 10_000)...); err != nil || resp.CommittedSize != 300_000 {
				t.Errorf("%v, %v", resp, err)
			}
		})
	}
	wg.Wait()
	h.wantRead(t, "uploaded by all", d, data)
}

func TestPartialUploadsAreBounded(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		opts reapi.Options
		kept []bool // of the three uploads, in the order in which they broke
	}{
		"by default": {reapi.Options{}, []bool{true, true, true}},
		"by number":  {reapi.Options{PartialUploads: 2}, []bool{false, true, true}},
		"by bytes":   {reapi.Options{PartialBytes: 100_000}, []bool{false, true, true}},
		"by time":    {reapi.Options{PartialTTL: time.Nanosecond}, []bool{false, false, false}},
		"none":       {reapi.Options{PartialUploads: -1}, []bool{false, false, false}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mem := memory.New(memory.Options{MaxBytes: 1 << 30})
			tt.opts.Store = mem
			h := start(t, tt.opts)
			var names []string
			for i := range tt.kept {
				data := random(uint64(i), 50_000)
				names = append(names, writeName(sha256Of(data)))
				h.breakOff(t, names[i], data, 10_000)
				eventually(t, "the upload is parked or dropped", func() bool {
					parked, dropped := h.metric("larder_reapi_uploads_parked"), h.metric("larder_reapi_uploads_dropped_total")
					return parked+dropped == float64(i+1)
				})
			}
			kept := 0
			for i, want := range tt.kept {
				committed := int64(0)
				if want {
					committed = 10_000
					kept++
				}
				h.waitCommitted(t, names[i], committed)
			}
			eventually(t, "the room of dropped uploads is free", func() bool { return mem.Stats().ReservedBytes == int64(kept)*50_000 })
			if got := h.metric("larder_reapi_uploads_parked_bytes"); got != float64(kept)*50_000 {
				t.Errorf("%v bytes parked, want those of %d uploads", got, kept)
			}
			h.srv.Close()
			if reserved := mem.Stats().ReservedBytes; reserved != 0 {
				t.Errorf("%d bytes are reserved after Close", reserved)
			}
		})
	}
}

func TestCompressedUploadStartsOver(t *testing.T) {
	t.Parallel()
	mem := memory.New(memory.Options{MaxBytes: 1 << 30})
	h := start(t, reapi.Options{Store: mem})
	data := random(1, 100_000)
	d := sha256Of(data)
	packed := compress(data)
	ctx, cancel := context.WithCancel(h.ctx())
	stream, err := h.bs.Write(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&bspb.WriteRequest{ResourceName: writeZstdName(d), Data: packed[:50_000]}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the upload begins", func() bool { return mem.Stats().ReservedBytes > 0 })
	cancel()
	eventually(t, "the upload is dropped", func() bool { return mem.Stats().ReservedBytes == 0 })
	if resp, err := h.query(writeZstdName(d)); err != nil || resp.CommittedSize != 0 || resp.Complete {
		t.Errorf("%v, %v", resp, err)
	}
	if _, err := h.write(chunked(writeZstdName(d), packed, 10_000)...); err != nil {
		t.Error(err)
	}
	if resp, err := h.query(writeZstdName(d)); err != nil || resp.CommittedSize != 100_000 || !resp.Complete {
		t.Errorf("%v, %v", resp, err)
	}
}

func TestRule32_WriteFailures(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	data := random(1, 100_000)
	name := writeName(sha256Of(data))
	check := func(err error, code codes.Code, retry bool, words string) {
		t.Helper()
		wantCode(t, err, code, words)
		wantRetryInfo(t, status.Convert(err), retry)
	}
	for _, e := range storeErrors {
		h.store.set(func(s *faults) { *s = faults{createErr: e.err} })
		_, err := h.write(chunked(name, data, 10_000)...)
		check(err, e.code, e.retry, e.err.Error())
		h.store.set(func(s *faults) { *s = faults{putErr: e.err} })
		_, err = h.write(chunked(name, data, 1<<20)...)
		check(err, e.code, e.retry, e.err.Error())
		h.store.set(func(s *faults) { *s = faults{findErr: e.err} })
		_, err = h.write(chunked(name, data, 1<<20)...)
		check(err, e.code, e.retry, e.err.Error())
		_, err = h.query(name)
		check(err, e.code, e.retry, e.err.Error())
	}
}

// TestRule11_DrainUploads has a server that answers only when the client is
// done.
func TestRule11_DrainUploads(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{DrainUploads: true})
	data := random(1, 100_000)
	d := h.put(data)
	stream, err := h.bs.Write(h.ctx())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range chunked(writeName(d), data, 1000) {
		if err := stream.Send(m); err != nil {
			t.Fatalf("the stream ended before all was sent: %v", err)
		}
	}
	if resp, err := stream.CloseAndRecv(); err != nil || resp.CommittedSize != 100_000 {
		t.Errorf("%v, %v", resp, err)
	}
	if n := h.metric("larder_reapi_uploads_already_present_total"); n != 1 {
		t.Errorf("%v uploads counted as present", n)
	}
}
