package encoding

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/server/blobstore"
)

// verdicts says what a verification finds, by each of the ways there are.
func verdicts(spec blobstore.Spec, data []byte) map[string]error {
	return map[string]error{
		"Verify":           Verify(blobstore.Blob{Spec: spec, Data: data}),
		"Verifier":         verifyIn(spec, data, len(data)),
		"Verifier by 1":    verifyIn(spec, data[:min(len(data), 300)], 1, data[min(len(data), 300):]),
		"Verifier by 1000": verifyIn(spec, data, 1000),
	}
}

// verifyIn writes data in steps, then the rest, and finishes.
func verifyIn(spec blobstore.Spec, data []byte, step int, rest ...[]byte) error {
	v := NewVerifier(spec)
	defer v.Close()
	chunks := slices.AppendSeq(rest[:0:0], slices.Chunk(data, max(step, 1)))
	for _, p := range append(chunks, rest...) {
		if n, err := v.Write(p); err != nil {
			return err
		} else if n != len(p) {
			return io.ErrShortWrite
		}
	}
	return v.Finish()
}

// encode compresses like a client that chooses its own options.
func encode(content []byte, opts ...zstd.EOption) []byte {
	var out bytes.Buffer
	e := must(zstd.NewWriter(&out, append(opts, zstd.WithEncoderConcurrency(1))...))
	_, _ = e.Write(content)
	_ = e.Close()
	return out.Bytes()
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func skippable(n int) []byte {
	return append([]byte{0x5f, 0x2a, 0x4d, 0x18, byte(n), byte(n >> 8), byte(n >> 16), 0}, make([]byte, n)...)
}

// hello returns a frame of that content with a window of one's choice.
func hello(windowDescriptor byte) []byte {
	return join([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, windowDescriptor, 5<<3 | 1, 0, 0}, []byte("hello"))
}

// rle returns a frame of n times the same byte, in a block that says so.
func rle(n, b byte) []byte {
	return []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x50, n<<3 | 1<<1 | 1, n >> 5, 0, b}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	small, large, raw := text(5000), text(600_000), noise(300_000)
	compress := func(p []byte) []byte { return AppendCompressed(nil, p) }
	tests := []struct {
		name    string
		content []byte
		zstd    []byte
	}{
		{"no bytes", nil, nil},
		{"an empty frame", nil, compress(nil)},
		{"a skippable frame for no content", nil, skippable(100)},
		{"one byte", []byte{1}, compress([]byte{1})},
		{"small", small, compress(small)},
		{"large", large, compress(large)},
		{"incompressible", raw, compress(raw)},
		{"two frames", small, join(compress(small[:10]), compress(small[10:]))},
		{"two large frames", large, join(compress(large[:300_000]), compress(large[300_000:]))},
		{"a block of one byte", bytes.Repeat([]byte{'x'}, 100), rle(100, 'x')},
		{"blocks of one byte", bytes.Repeat([]byte{'x'}, 200), join(rle(100, 'x'), rle(100, 'x'))},
		{"frames of growing windows", large, join(encode(large[:5000], zstd.WithWindowSize(1<<10)), encode(large[5000:], zstd.WithWindowSize(8<<20)))},
		{"skippable frames around", small, join(skippable(0), compress(small[:10]), skippable(70_000), compress(small[10:]), skippable(3))},
		{"skippable frames around a large one", large, join(skippable(20), compress(large), skippable(70_000))},
		{"empty frames between", small, join(compress(nil), compress(small), compress(nil))},
		{"a frame a byte", small[:300], frameEach(small[:300])},
		{"the largest window", large, encode(large, zstd.WithWindowSize(MaxWindow))},
		{"the largest window for a small one", []byte("hello"), hello(0x78)},
		{"no checksum", large, encode(large, zstd.WithEncoderCRC(false))},
		{"best", large, encode(large, zstd.WithEncoderLevel(zstd.SpeedBestCompression))},
		{"zeros", make([]byte, 1<<20), encode(make([]byte, 1<<20))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for how, err := range verdicts(specOf(tt.content, blobstore.Identity), tt.content) {
				if err != nil {
					t.Errorf("by %s: %v", how, err)
				}
			}
			for how, err := range verdicts(specOf(tt.content, blobstore.Zstd), tt.zstd) {
				if err != nil {
					t.Errorf("zstd by %s: %v", how, err)
				}
			}
		})
	}
}

func TestVerifyDigestFunctions(t *testing.T) {
	t.Parallel()
	content := text(5000)
	for _, fn := range digest.Supported() {
		d := digest.Of(fn, content)
		spec := blobstore.Spec{Key: blobstore.Namespace{}.CAS("", d), Size: d.Size()}
		for how, err := range verdicts(spec, content) {
			if err != nil {
				t.Errorf("%v by %s: %v", fn, how, err)
			}
		}
		for how, err := range verdicts(spec, noise(5000)) {
			if !errors.Is(err, blobstore.ErrMismatch) || !strings.Contains(err.Error(), fn.String()+" hash") {
				t.Errorf("%v of other content by %s: %v", fn, how, err)
			}
		}
	}
}

func frameEach(content []byte) (stream []byte) {
	for i := range content {
		stream = AppendCompressed(stream, content[i:i+1])
	}
	return stream
}

func TestVerifyMismatch(t *testing.T) {
	t.Parallel()
	small, large := text(5000), text(600_000)
	smallZ, largeZ := AppendCompressed(nil, small), AppendCompressed(nil, large)
	other := func(p []byte) []byte { return join([]byte("x"), p[1:]) }
	hash := func(p []byte) string { return "content has the SHA256 hash " + digest.Of(digest.SHA256, p).Hex() }
	flip := func(p []byte, i int) []byte {
		p = bytes.Clone(p)
		p[i] ^= 0x20
		return p
	}
	wrongSize, wrongDigest := specOf(small, blobstore.Identity), specOf(small, blobstore.Identity)
	wrongSize.Size = 4999
	wrongDigest.Key.Digest = wrongDigest.Key.Digest.WithSize(4999)
	tests := []struct {
		name    string
		content []byte
		data    []byte
		zstd    bool
		want    string
	}{
		{"nothing", small, nil, false, "content has 0 bytes, not 5000"},
		{"short", small, small[:4999], false, "content has 4999 bytes, not 5000"},
		{"long", small[:4000], small, false, "content has "}, // more than 4000, or 5000
		{"bytes for the empty blob", nil, []byte{1}, false, "content has "},
		{"other content", small, other(small), false, hash(other(small))},
		{"zstd: nothing", small, nil, true, "content has 0 bytes, not 5000"},
		{"zstd: nothing for a large one", large, nil, true, "content has 0 bytes, not 600000"},
		{"zstd: short", small, AppendCompressed(nil, small[:4999]), true, "content has 4999 bytes, not 5000"},
		{"zstd: short large", large, AppendCompressed(nil, large[:599_999]), true, "content has 599999 bytes, not 600000"},
		{"zstd: long", small[:4999], smallZ, true, "content has more than 4999 bytes"},
		{"zstd: long large", large[:599_999], largeZ, true, "content has more than 599999 bytes"},
		{"zstd: content for the empty blob", nil, smallZ, true, "content has more than 0 bytes"},
		{"zstd: other content", small, AppendCompressed(nil, other(small)), true, hash(other(small))},
		{"zstd: other large content", large, AppendCompressed(nil, other(large)), true, hash(other(large))},
		{"zstd: truncated", small, smallZ[:100], true, "zstd stream is truncated"},
		{"zstd: truncated in the magic", small, smallZ[:2], true, "zstd stream is truncated"},
		{"zstd: truncated in the header", small, smallZ[:5], true, "zstd stream is truncated"},
		{"zstd: without the last byte", small, smallZ[:len(smallZ)-1], true, "zstd stream is truncated"},
		{"zstd: large truncated", large, largeZ[:50_000], true, "zstd stream is truncated"},
		{"zstd: large without the last byte", large, largeZ[:len(largeZ)-1], true, "zstd stream is truncated"},
		{"zstd: large truncated in the header", large, largeZ[:5], true, "zstd stream is truncated"},
		{"zstd: skippable truncated", small, join(smallZ, skippable(100)[:50]), true, "zstd stream is truncated"},
		{"zstd: garbage", small, small, true, "zstd stream has bytes that are no frame"},
		{"zstd: large garbage", large, large, true, "zstd stream has bytes that are no frame"},
		{"zstd: tail", small, join(smallZ, []byte("tail")), true, "zstd stream has bytes that are no frame"},
		{"zstd: short tail", small, join(smallZ, []byte{1}), true, "zstd stream is truncated"},
		{"zstd: large tail", large, join(largeZ, []byte("tail")), true, "zstd stream has bytes that are no frame"},
		{"zstd: wrong checksum", small, flip(smallZ, len(smallZ)-1), true, "zstd stream does not decode"},
		{"zstd: wrong large checksum", large, flip(largeZ, len(largeZ)-1), true, "zstd stream does not decode"},
		{"zstd: window of 64 MiB", large, encode(large, zstd.WithWindowSize(64<<20)), true, "window of 67108864 bytes, this server decodes at most 33554432"},
		{"zstd: window in the second frame", large, join(encode(large[:9]), encode(large[9:], zstd.WithWindowSize(64<<20))), true, "window of 67108864 bytes"},
		{"zstd: window after a block of one byte", large, join(rle(100, 'x'), hello(0x80)), true, "window of 67108864 bytes"},
		{"zstd: small with a large window", []byte("hello"), hello(0x80), true, "window of 67108864 bytes"},
		{"zstd: dictionary", large, []byte{0x28, 0xb5, 0x2f, 0xfd, 0x01, 0x58, 0x07, 0x01, 0x00, 0x00}, true, "zstd frame needs a dictionary"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			spec := specOf(tt.content, blobstore.Identity)
			if tt.zstd {
				spec.Encoding = blobstore.Zstd
			}
			for how, err := range verdicts(spec, tt.data) {
				var m *blobstore.MismatchError
				if !errors.As(err, &m) || !strings.Contains(m.Reason, tt.want) || m.Key != spec.Key {
					t.Errorf("by %s: %v, want a mismatch with %q", how, err, tt.want)
				}
			}
		})
	}
	for _, spec := range []blobstore.Spec{wrongSize, wrongDigest} {
		for how, err := range verdicts(spec, small) {
			if !errors.Is(err, blobstore.ErrMismatch) {
				t.Errorf("%d bytes of %v by %s: %v", spec.Size, spec.Key, how, err)
			}
		}
	}
}

// The digest of an action result is not its content's.
func TestVerifyActionResult(t *testing.T) {
	t.Parallel()
	content := text(4000)
	spec := blobstore.Spec{Key: blobstore.Namespace{}.AC("", digest.Of(digest.SHA256, []byte("action"))), Size: 4000}
	for _, data := range [][]byte{content, noise(4000)} {
		for how, err := range verdicts(spec, data) {
			if err != nil {
				t.Errorf("by %s: %v", how, err)
			}
		}
	}
	for how, err := range verdicts(spec, content[:3999]) {
		if !errors.Is(err, blobstore.ErrMismatch) {
			t.Errorf("short by %s: %v", how, err)
		}
	}
	spec.Encoding = blobstore.Zstd
	for how, err := range verdicts(spec, AppendCompressed(nil, content)) {
		if err != nil {
			t.Errorf("zstd by %s: %v", how, err)
		}
	}
	for how, err := range verdicts(spec, content) {
		if !errors.Is(err, blobstore.ErrMismatch) {
			t.Errorf("no zstd by %s: %v", how, err)
		}
	}
}

// What is wrong with the spec is not the content's fault.
func TestVerifyBadSpec(t *testing.T) {
	t.Parallel()
	murmur, err := digest.New(digest.Murmur3, make([]byte, 16), 5)
	if err != nil {
		t.Fatal(err)
	}
	unknown := specOf([]byte("hello"), blobstore.Identity)
	unknown.Key.Digest, unknown.Size = unknown.Key.Digest.WithSize(digest.SizeUnknown), digest.SizeUnknown
	for name, spec := range map[string]blobstore.Spec{
		"function":  {Key: blobstore.Namespace{}.CAS("", murmur), Size: 5},
		"encoding":  specOf([]byte("hello"), 3),
		"no digest": {Key: blobstore.Key{Kind: blobstore.CAS}, Size: 5},
		"size":      unknown,
	} {
		for how, err := range verdicts(spec, []byte("hello")) {
			if err == nil || errors.Is(err, blobstore.ErrMismatch) {
				t.Errorf("%s by %s: %v", name, how, err)
			}
		}
	}
}

// A verifier knows at once that there is too much, whatever comes later.
func TestVerifierFailsEarly(t *testing.T) {
	t.Parallel()
	frame := AppendCompressed(nil, make([]byte, 1<<20))
	for _, size := range []int{1000, wholeLimit + 1, 2 << 20} {
		v := NewVerifier(specOf(text(size), blobstore.Zstd))
		frames := 0
		var err error
		for ; err == nil && frames < 10_000; frames++ {
			_, err = v.Write(frame)
		}
		// A small one is decoded when it has more bytes than it should.
		if limit := 4 + int(MaxCompressed(min(int64(size), wholeLimit)))/len(frame); frames > limit {
			t.Errorf("%d bytes: %d frames of a megabyte each were taken, want at most %d", size, frames, limit)
		}
		if !errors.Is(err, blobstore.ErrMismatch) {
			t.Errorf("%d bytes: error %v", size, err)
		}
		if _, again := v.Write(frame); !errors.Is(again, err) {
			t.Errorf("%d bytes: later Write: %v", size, again)
		}
		if again := v.Finish(); !errors.Is(again, err) {
			t.Errorf("%d bytes: Finish: %v", size, again)
		}
		v.Close()
	}
	v := NewVerifier(specOf([]byte("hello"), blobstore.Identity))
	defer v.Close()
	if _, err := v.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if n, err := v.Write([]byte("!")); n != 0 || !errors.Is(err, blobstore.ErrMismatch) {
		t.Errorf("one byte too many: %d, %v", n, err)
	}
}

func TestVerifierClose(t *testing.T) {
	t.Parallel()
	large := text(600_000)
	data := AppendCompressed(nil, large)
	for name, use := range map[string]func(*Verifier){
		"at once":      func(*Verifier) {},
		"half way":     func(v *Verifier) { _, _ = v.Write(data[:len(data)/2]) },
		"at the end":   func(v *Verifier) { _, _ = v.Write(data) },
		"after Finish": func(v *Verifier) { _, _ = v.Write(data); _ = v.Finish() },
	} {
		v := NewVerifier(specOf(large, blobstore.Zstd))
		use(v)
		v.Close()
		v.Close()
		if _, err := v.Write(data); err == nil || errors.Is(err, blobstore.ErrMismatch) {
			t.Errorf("%s: Write after Close: %v", name, err)
		}
		if err := v.Finish(); err == nil || errors.Is(err, blobstore.ErrMismatch) {
			t.Errorf("%s: Finish after Close: %v", name, err)
		}
	}
}

func TestVerifierContext(t *testing.T) {
	t.Parallel()
	large := text(600_000)
	data := AppendCompressed(nil, large)
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("client is gone")
	v := NewVerifierContext(ctx, specOf(large, blobstore.Zstd))
	defer v.Close()
	if _, err := v.Write(data[:len(data)/2]); err != nil {
		t.Fatal(err)
	}
	cancel(gone)
	// Not all of it: what is complete may be found right before the end of the
	// context is noticed.
	_, err := v.Write(data[len(data)/2 : len(data)-10])
	if err == nil {
		err = v.Finish()
	}
	if !errors.Is(err, gone) {
		t.Errorf("error %v, want that of the context", err)
	}
}

// A small stream whose declared size is a lie must not make the server
// allocate what it says.
func TestVerifyAllocatesNoMoreThanTheSize(t *testing.T) {
	bomb := AppendCompressed(nil, make([]byte, 64<<20))
	if len(bomb) > 100_000 {
		t.Fatalf("bomb has %d bytes", len(bomb))
	}
	spec := specOf(text(1000), blobstore.Zstd)
	verifyBomb := func() {
		if err := Verify(blobstore.Blob{Spec: spec, Data: bomb}); !errors.Is(err, blobstore.ErrMismatch) {
			t.Error(err)
		}
		if _, err := AppendDecompressed(nil, bomb, 1000); err == nil {
			t.Error("no error")
		}
	}
	verifyBomb() // so that the pools are filled
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 10 {
		verifyBomb()
	}
	runtime.ReadMemStats(&after)
	if n := (after.TotalAlloc - before.TotalAlloc) / 10; n > 1<<20 {
		t.Errorf("%d bytes are allocated to refuse 64 MiB", n)
	}
	if _, err := AppendDecompressed(nil, bomb[:20], 1<<40); err == nil {
		t.Error("20 bytes were decoded to a terabyte")
	}
}

func TestVerifyIdentityAllocatesNothing(t *testing.T) {
	content := text(5000)
	b := blobstore.Blob{Spec: specOf(content, blobstore.Identity), Data: content}
	n := testing.AllocsPerRun(100, func() {
		if err := Verify(b); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
