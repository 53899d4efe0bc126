package encoding

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/server/blobstore"
)

// decoded decodes with a decoder of its own.
func decoded(data []byte) ([]byte, error) {
	d := must(zstd.NewReader(nil, zstd.WithDecoderConcurrency(1)))
	defer d.Close()
	return d.DecodeAll(data, nil)
}

// wantPart opens a part of a blob, reads it in some way and compares.
func wantPart(t *testing.T, s *shelf, content []byte, req Request) {
	t.Helper()
	want := content[req.Offset:]
	if req.Limit > 0 {
		want = want[:min(req.Limit, int64(len(want)))]
	}
	c, err := Open(t.Context(), s, s.spec.Key, req)
	if err != nil {
		t.Fatalf("%+v: %v", req, err)
	}
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("%+v: %v", req, err)
	}
	if n, err := c.Read(make([]byte, 9)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("%+v: Read at the end: %d, %v", req, n, err)
	}
	if c.Size() != int64(len(content)) {
		t.Errorf("%+v: Size %d, want %d", req, c.Size(), len(content))
	}
	if l := c.Length(); l != int64(len(got)) && (l != -1 || req.Encoding == blobstore.Identity) {
		t.Errorf("%+v: Length %d, read %d", req, l, len(got))
	}
	if req.Encoding == blobstore.Zstd {
		if got, err = decoded(got); err != nil {
			t.Errorf("%+v: what is served does not decode: %v", req, err)
		}
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%+v: wrong content", req)
	}
	for range 2 {
		if err := c.Close(); err != nil {
			t.Errorf("%+v: Close: %v", req, err)
		}
	}
	for _, r := range s.opened {
		if !r.shut {
			t.Errorf("%+v: reader left open", req)
		}
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{0, 1, 100, 5000, wholeLimit, wholeLimit + 1, 600_000} {
		content := text(int(size))
		frames := AppendCompressed(AppendCompressed(nil, content[:size/3]), content[size/3:])
		for _, s := range []*shelf{
			{spec: specOf(content, blobstore.Identity), data: content},
			{spec: specOf(content, blobstore.Zstd), data: encode(content)},
			{spec: specOf(content, blobstore.Zstd), data: frames},
		} {
			t.Run(fmt.Sprintf("%d bytes of %v", size, s.spec.Encoding), func(t *testing.T) {
				t.Parallel()
				for _, offset := range []int64{0, 1, size / 2, size - 1, size} {
					if offset < 0 || offset > size {
						continue
					}
					for _, limit := range []int64{0, 1, size / 3, size, size + 5} {
						wantPart(t, s, content, Request{blobstore.Identity, offset, limit})
						wantPart(t, s, content, Request{blobstore.Zstd, offset, limit})
					}
				}
			})
		}
	}
}

func TestOpenPassesThrough(t *testing.T) {
	t.Parallel()
	content := text(1 << 20)
	data := join(skippable(9), encode(content, zstd.WithEncoderLevel(zstd.SpeedBestCompression)))
	s := &shelf{spec: specOf(content, blobstore.Zstd), data: data}
	for _, limit := range []int64{0, 1 << 20, 2 << 20} {
		c, err := Open(t.Context(), s, s.spec.Key, Request{Encoding: blobstore.Zstd, Limit: limit})
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(c)
		if err != nil || !bytes.Equal(got, data) || c.Length() != int64(len(data)) {
			t.Errorf("limit %d: %d bytes, Length %d, error %v; want the %d stored ones", limit, len(got), c.Length(), err, len(data))
		}
		c.Close()
	}
}

func TestOpenSizeUnknown(t *testing.T) {
	t.Parallel()
	content := text(5000)
	s := &shelf{spec: specOf(content, blobstore.Identity), data: content}
	key := s.spec.Key
	key.Digest = key.Digest.WithSize(digest.SizeUnknown)
	c, err := Open(t.Context(), s, key, Request{})
	if err != nil || c.Size() != 5000 || c.Length() != 5000 {
		t.Fatalf("%v, %v", c, err)
	}
	c.Close()
}

// The empty blob is there without a store (rule 1).
func TestOpenEmptyBlob(t *testing.T) {
	t.Parallel()
	s := &shelf{spec: specOf([]byte("other"), blobstore.Identity)}
	for _, fn := range digest.Supported() {
		for _, size := range []int64{0, digest.SizeUnknown} {
			for _, e := range []blobstore.Encoding{blobstore.Identity, blobstore.Zstd} {
				key := blobstore.Namespace{}.CAS("x", digest.Empty(fn).WithSize(size))
				c, err := Open(t.Context(), s, key, Request{Encoding: e})
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(c)
				if err != nil || c.Size() != 0 || c.Length() != int64(len(got)) {
					t.Errorf("%v: %d bytes, Size %d, Length %d, error %v", fn, len(got), c.Size(), c.Length(), err)
				}
				if e == blobstore.Zstd {
					if len(got) == 0 {
						t.Errorf("%v: not one frame", fn)
					}
					got, err = decoded(got)
				}
				if err != nil || len(got) != 0 {
					t.Errorf("%v: content %q, %v", fn, got, err)
				}
				c.Close()
			}
		}
	}
	key := blobstore.Namespace{}.CAS("", digest.Empty(digest.SHA256))
	if _, err := Open(t.Context(), s, key, Request{Offset: 1}); !errors.Is(err, ErrOffset) {
		t.Errorf("past the empty blob: %v", err)
	}
	ac := blobstore.Namespace{}.AC("", digest.Empty(digest.SHA256))
	if _, err := Open(t.Context(), s, ac, Request{}); !errors.Is(err, blobstore.ErrNotFound) {
		t.Errorf("action result of the empty blob's name: %v", err)
	}
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	content := text(100)
	for _, e := range []blobstore.Encoding{blobstore.Identity, blobstore.Zstd} {
		s := &shelf{spec: specOf(content, blobstore.Identity), data: content}
		for _, tt := range []struct {
			req  Request
			want error
		}{
			{Request{Encoding: e, Offset: -1}, ErrOffset},
			{Request{Encoding: e, Offset: 101}, ErrOffset},
			{Request{Encoding: e, Offset: 1 << 62, Limit: 1 << 62}, ErrOffset},
			{Request{Encoding: e, Limit: -1}, ErrOffset},
		} {
			if _, err := Open(t.Context(), s, s.spec.Key, tt.req); !errors.Is(err, tt.want) {
				t.Errorf("%+v: error %v, want %v", tt.req, err, tt.want)
			}
		}
		if _, err := Open(t.Context(), s, specOf(text(99), e).Key, Request{Encoding: e}); !errors.Is(err, blobstore.ErrNotFound) {
			t.Errorf("absent: %v", err)
		}
		if _, err := Open(t.Context(), s, s.spec.Key, Request{Encoding: 9}); err == nil {
			t.Error("unknown encoding is no error")
		}
		for _, r := range s.opened {
			if !r.shut {
				t.Error("reader left open")
			}
		}
	}
}

// readAllOf opens and reads; the error may come from either.
func readAllOf(ctx context.Context, g blobstore.Getter, key blobstore.Key, req Request) ([]byte, error) {
	c, err := Open(ctx, g, key, req)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return io.ReadAll(c)
}

func TestOpenCorrupt(t *testing.T) {
	t.Parallel()
	for _, size := range []int{5000, 600_000} {
		content := text(size)
		good := encode(content)
		flipped := bytes.Clone(good)
		flipped[len(flipped)/2] ^= 1
		for name, data := range map[string][]byte{
			"flipped":         flipped,
			"truncated":       good[:len(good)-1],
			"nothing":         {},
			"garbage":         content,
			"shorter":         encode(content[:size-1]),
			"longer":          encode(append(content[:size:size], 1)),
			"another frame":   join(good, encode([]byte{1})),
			"too much window": join(encode(content[:9]), hello(0x80)),
		} {
			t.Run(fmt.Sprintf("%s of %d", name, size), func(t *testing.T) {
				t.Parallel()
				for _, req := range []Request{{Encoding: blobstore.Identity}, {Encoding: blobstore.Identity, Offset: 1000}, {Encoding: blobstore.Zstd, Offset: 1}} {
					s := &removing{shelf: shelf{spec: specOf(content, blobstore.Zstd), data: data}}
					got, err := readAllOf(t.Context(), s, s.spec.Key, req)
					if !errors.Is(err, blobstore.ErrCorrupt) || errors.Is(err, blobstore.ErrMismatch) {
						t.Errorf("%+v: %d bytes, error %v, want ErrCorrupt", req, len(got), err)
					}
					if len(s.removed) != 1 || s.removed[0] != s.spec.Key {
						t.Errorf("%+v: removed %v, want the blob, once", req, s.removed)
					}
					// The store's checksum is what keeps a flipped bit of a
					// stream from being served; here it is not seen at once.
					if req.Encoding == blobstore.Identity && name != "flipped" && !bytes.HasPrefix(content[req.Offset:], got) {
						t.Errorf("%+v: wrong bytes were served", req)
					}
				}
			})
		}
	}
}

// removing is a shelf that can forget.
type removing struct {
	shelf
	removed []blobstore.Key
}

func (r *removing) Remove(_ context.Context, key blobstore.Key) error {
	r.removed = append(r.removed, key)
	return nil
}

// A store's own error is passed on, and is no corruption of the stream.
func TestOpenStoreFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk on fire")
	for _, size := range []int{5000, 600_000} {
		content := text(size)
		for _, e := range []blobstore.Encoding{blobstore.Identity, blobstore.Zstd} {
			data := content
			if e == blobstore.Zstd {
				data = encode(content)
			}
			for _, req := range []Request{{Encoding: blobstore.Identity}, {Encoding: blobstore.Zstd}, {Encoding: blobstore.Zstd, Offset: 10}} {
				s := &removing{shelf: shelf{spec: specOf(content, e), data: data[:len(data)*2/3], stored: int64(len(data)), err: broken}}
				_, err := readAllOf(t.Context(), s, s.spec.Key, req)
				if !errors.Is(err, broken) || errors.Is(err, blobstore.ErrCorrupt) {
					t.Errorf("%d bytes of %v, %+v: error %v, want the store's", size, e, req, err)
				}
				if len(s.removed) > 0 {
					t.Errorf("%d bytes of %v, %+v: removed", size, e, req)
				}
			}
		}
	}
	// A store that ends early without saying why.
	content := text(5000)
	s := &shelf{spec: specOf(content, blobstore.Identity), data: content[:4000]}
	if _, err := readAllOf(t.Context(), s, s.spec.Key, Request{}); !errors.Is(err, blobstore.ErrCorrupt) {
		t.Errorf("short identity: %v", err)
	}
}

func TestOpenClosedEarly(t *testing.T) {
	t.Parallel()
	content := text(2 << 20)
	for _, s := range []*shelf{
		{spec: specOf(content, blobstore.Identity), data: content},
		{spec: specOf(content, blobstore.Zstd), data: encode(content)},
	} {
		for _, req := range []Request{{Encoding: blobstore.Identity, Offset: 5}, {Encoding: blobstore.Zstd, Offset: 5}} {
			c, err := Open(t.Context(), s, s.spec.Key, req)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
			c.Close()
			c.Close()
			if !s.opened[len(s.opened)-1].shut {
				t.Error("reader left open")
			}
		}
	}
}

// TestContentReader reads in odd ways.
func TestContentReader(t *testing.T) {
	t.Parallel()
	content := text(600_000)
	for _, s := range []*shelf{
		{spec: specOf(content, blobstore.Identity), data: content},
		{spec: specOf(content, blobstore.Zstd), data: encode(content)},
	} {
		c, err := Open(t.Context(), s, s.spec.Key, Request{Offset: 100, Limit: 500_000})
		if err != nil {
			t.Fatal(err)
		}
		if err := iotest.TestReader(c, content[100:500_100]); err != nil {
			t.Errorf("%v: %v", s.spec.Encoding, err)
		}
		c.Close()
	}
}

// What is passed through costs one small allocation over the store's own.
func TestOpenAllocations(t *testing.T) {
	content := text(5000)
	s := &shelf{spec: specOf(content, blobstore.Identity), data: content}
	buf := make([]byte, 8192)
	get := func() {
		r, err := s.Get(t.Context(), s.spec.Key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Read(buf); err != nil {
			t.Fatal(err)
		}
		r.Close()
		s.opened = s.opened[:0]
	}
	open := func() {
		c, err := Open(t.Context(), s, s.spec.Key, Request{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(buf); err != nil {
			t.Fatal(err)
		}
		c.Close()
		s.opened = s.opened[:0]
	}
	if more := testing.AllocsPerRun(200, open) - testing.AllocsPerRun(200, get); more > 1 {
		t.Errorf("%v allocations more than Get, want 1", more)
	}
}

func TestAppendDecompressed(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 5000, 1 << 20} {
		content := text(size)
		for _, dst := range [][]byte{nil, []byte("before"), append(make([]byte, 0, 2<<20), "before"...)} {
			data := AppendCompressed(dst, content)
			if !bytes.HasPrefix(data, dst) {
				t.Errorf("%d bytes: dst was overwritten", size)
			}
			data = data[len(dst):]
			got, err := AppendDecompressed(dst, bytes.Clone(data), int64(size))
			if err != nil || !bytes.Equal(got, append(slices.Clip(dst), content...)) {
				t.Errorf("%d bytes: %d decoded, error %v", size, len(got)-len(dst), err)
			}
			for _, wrong := range []int64{int64(size) - 1, int64(size) + 1} {
				if got, err := AppendDecompressed(dst, data, wrong); err == nil || !bytes.Equal(got, dst) {
					t.Errorf("%d bytes as %d: %d decoded, error %v", size, wrong, len(got)-len(dst), err)
				}
			}
		}
	}
}

func TestNewCompressor(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 1 << 20} {
		var out bytes.Buffer
		w := NewCompressor(&out)
		if _, err := io.Copy(w, iotest.HalfReader(bytes.NewReader(text(size)))); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.Write([]byte{1}); err == nil {
			t.Error("Write after Close is no error")
		}
		if got, err := decoded(out.Bytes()); err != nil || !bytes.Equal(got, text(size)) || out.Len() == 0 {
			t.Errorf("%d bytes: %d decoded, error %v", size, len(got), err)
		}
	}
}
