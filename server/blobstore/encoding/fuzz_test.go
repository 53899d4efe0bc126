package encoding

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/larder-build/larder/server/blobstore"
)

// fuzzLimit bounds what a fuzzed stream decodes to.
const fuzzLimit = 1 << 19

// seedStreams are zstd streams and what is nearly so.
func seedStreams() [][]byte {
	content := text(20_000)
	return [][]byte{
		nil, AppendCompressed(nil, nil), AppendCompressed(nil, []byte("hello")),
		AppendCompressed(nil, content), encode(content), encode(content, zstd.WithEncoderCRC(false)),
		join(skippable(7), encode(content[:700]), skippable(0), encode(content[700:2000])),
		encode(content[:9000], zstd.WithWindowSize(1<<10)),
		hello(0), hello(0x78), hello(0x80), hello(0xff), hello(0x50)[:9],
		[]byte("not zstd at all"), {0x28}, {0x28, 0xb5, 0x2f, 0xfd}, skippable(3)[:6],
		AppendCompressed(nil, make([]byte, wholeLimit+1)),
	}
}

// FuzzVerifier holds all ways of verifying a stream to what a decoder of its
// own says of it, at the right size and at others.
func FuzzVerifier(f *testing.F) {
	for _, s := range seedStreams() {
		f.Add(s, uint16(0))
		f.Add(s, uint16(1000))
	}
	f.Fuzz(func(t *testing.T, stream []byte, step uint16) {
		d := must(zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(fuzzLimit), zstd.WithDecoderMaxWindow(MaxWindow)))
		defer d.Close()
		content, err := d.DecodeAll(stream, nil)
		if errors.Is(err, zstd.ErrDecoderSizeExceeded) {
			t.Skip("decodes to too much")
		}
		right := specOf(content, blobstore.Zstd)
		for how, got := range verdictsIn(right, stream, int(step)) {
			if err == nil && got != nil {
				t.Errorf("by %s: %v, the stream is right", how, got)
			}
			if err != nil && !errors.Is(got, blobstore.ErrMismatch) {
				t.Errorf("by %s: %v, the stream does not decode: %v", how, got, err)
			}
		}
		for _, wrong := range [][]byte{append(slices.Clip(content), 0), append([]byte{1}, content...)[:max(len(content), 1)], nil} {
			if bytes.Equal(wrong, content) {
				continue
			}
			for how, got := range verdictsIn(specOf(wrong, blobstore.Zstd), stream, int(step)) {
				if !errors.Is(got, blobstore.ErrMismatch) {
					t.Errorf("by %s as %d bytes: %v, want a mismatch", how, len(wrong), got)
				}
			}
		}
	})
}

func verdictsIn(spec blobstore.Spec, stream []byte, step int) map[string]error {
	return map[string]error{
		"Verify":   Verify(blobstore.Blob{Spec: spec, Data: stream}),
		"Verifier": verifyIn(spec, stream, step),
	}
}

// FuzzOpen compares any part of any blob, in any encoding, with a slice of the
// content.
func FuzzOpen(f *testing.F) {
	f.Add(uint32(5000), uint32(10), uint32(100), uint8(0), uint8(0))
	f.Add(uint32(300_000), uint32(299_999), uint32(0), uint8(1), uint8(0))
	f.Add(uint32(300_000), uint32(131_072), uint32(131_072), uint8(2), uint8(1))
	f.Add(uint32(0), uint32(0), uint32(0), uint8(1), uint8(1))
	f.Fuzz(func(t *testing.T, size, offset, limit uint32, from, to uint8) {
		content := text(int(size % fuzzLimit))
		s := &shelf{spec: specOf(content, blobstore.Zstd)}
		switch from % 3 {
		case 0:
			s.spec.Encoding, s.data = blobstore.Identity, content
		case 1:
			s.data = encode(content)
		case 2:
			half := len(content) / 2
			s.data = join(encode(content[:half]), skippable(5), encode(content[half:]))
		}
		req := Request{Encoding: blobstore.Encoding(to % 2), Offset: int64(offset % (size%fuzzLimit + 1)), Limit: int64(limit)}
		wantPart(t, s, content, req)
	})
}

// FuzzFrames compares what is seen of a stream's first frame with what the
// library sees, however the stream is cut.
func FuzzFrames(f *testing.F) {
	for _, s := range seedStreams() {
		f.Add(s, uint8(3))
	}
	f.Fuzz(func(t *testing.T, stream []byte, cut uint8) {
		whole, inParts := windows(stream, len(stream)), windows(stream, int(cut))
		if len(whole) != len(inParts) {
			t.Fatalf("%d frames as one, %d in parts", len(whole), len(inParts))
		}
		for i := range whole {
			if whole[i] != inParts[i] {
				t.Errorf("frame %d: window %d as one, %d in parts", i, whole[i], inParts[i])
			}
		}
		var h zstd.Header
		if err := h.Decode(stream); err != nil || h.Skippable {
			return
		}
		want := h.WindowSize
		if h.SingleSegment {
			want = max(h.FrameContentSize, minWindow)
		}
		if len(whole) == 0 || whole[0] != want {
			t.Errorf("windows %v, the first is %d", whole, want)
		}
	})
}

// windows returns the window of each frame of a stream that comes in parts.
func windows(stream []byte, part int) (all []uint64) {
	f := frames{onWindow: func(w uint64) error {
		all = append(all, w)
		return nil
	}}
	for len(stream) > 0 {
		n := min(max(part, 1), len(stream))
		_ = f.pass(stream[:n])
		stream = stream[n:]
	}
	return all
}
