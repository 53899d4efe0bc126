package storetest

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/encoding"
)

func zstdClauses() []clause {
	return []clause{
		{"is written and read in either encoding (rule 14)", func(t *testing.T, s blobstore.Store) {
			for _, n := range sizes() {
				put, written := Content(n, 1), Content(n, 2)
				mustPut(t, s, compressed(CAS(put), put))
				mustWrite(t, s, compressed(CAS(written), written))
				for _, c := range [][]byte{put, written} {
					wantContent(t, s, CAS(c), c)
					wantServed(t, s, c, 0)
					wantServed(t, s, c, int64(n/3))
				}
			}
		}},
		{"may be any number of frames", testFrames},
		{"of the empty blob may be no bytes at all", func(t *testing.T, s blobstore.Store) {
			b := identity(CAS(nil), nil)
			b.Encoding = blobstore.Zstd
			mustPut(t, s, b)
			wantContent(t, s, b.Key, nil)
			mustWrite(t, s, b)
			wantContent(t, s, b.Key, nil)
		}},
		{"is refused if it is not the blob (rule 4)", func(t *testing.T, s blobstore.Store) {
			for _, n := range []int{1, 1000, 400_000} {
				c := Content(n, 1)
				for _, wrong := range [][]byte{Content(n, 2), c[:n-1], append(c[:n:n], 1), nil} {
					b := compressed(CAS(c), wrong)
					b.Size = int64(n)
					wantRefused(t, s, b)
				}
			}
		}},
		{"is refused if it does not decode (rule 4)", testBroken},
		{"bomb is refused before it is written whole", testBomb},
		{"stream longer than its room is refused or right", testPadded},
		{"replaces and is replaced by the other encoding", func(t *testing.T, s blobstore.Store) {
			c := Content(50_000, 1)
			for range 3 {
				mustPut(t, s, compressed(CAS(c), c))
				wantContent(t, s, CAS(c), c)
				mustPut(t, s, identity(CAS(c), c))
				wantContent(t, s, CAS(c), c)
			}
		}},
	}
}

// wantServed reads a blob as a listener does.
func wantServed(t *testing.T, s blobstore.Store, content []byte, offset int64) {
	t.Helper()
	for _, e := range []blobstore.Encoding{blobstore.Identity, blobstore.Zstd} {
		c, err := encoding.Open(t.Context(), s, CAS(content), encoding.Request{Encoding: e, Offset: offset})
		if err != nil {
			t.Fatalf("opening as %v at %d: %v", e, offset, err)
		}
		got, err := io.ReadAll(c)
		if err != nil {
			t.Fatalf("reading as %v at %d: %v", e, offset, err)
		}
		if err := c.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
		want := content[offset:]
		if e == blobstore.Zstd {
			if got, err = encoding.AppendDecompressed(nil, got, int64(len(want))); err != nil {
				t.Fatalf("decoding what is served at %d: %v", offset, err)
			}
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes served as %v at %d are wrong", len(content), e, offset)
		}
	}
}

// skippable returns a skippable frame (RFC 8878, 3.1.2) with n bytes in it.
func skippable(n int) []byte {
	return append([]byte{0x50, 0x2a, 0x4d, 0x18, byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}, make([]byte, n)...)
}

func testFrames(t *testing.T, s blobstore.Store) {
	for _, n := range []int{3000, 600_000} {
		c := Content(n, 1)
		b := compressed(CAS(c), nil) // an empty frame first
		b.Size = int64(n)
		b.Data = append(b.Data, skippable(5)...)
		b.Data = encoding.AppendCompressed(b.Data, c[:n/2])
		b.Data = encoding.AppendCompressed(b.Data, c[n/2:])
		b.Data = append(b.Data, skippable(0)...)
		mustPut(t, s, b)
		wantContent(t, s, b.Key, c)
		wantServed(t, s, c, int64(n/2+1))
		mustWrite(t, s, b)
		wantContent(t, s, b.Key, c)
	}
}

func testBroken(t *testing.T, s blobstore.Store) {
	for _, n := range []int{1000, 400_000} {
		c := Content(n, 1)
		whole := compressed(CAS(c), c)
		flipped := append([]byte(nil), whole.Data...)
		flipped[len(flipped)/2] ^= 1
		for name, data := range map[string][]byte{
			"truncated":         whole.Data[:len(whole.Data)-1],
			"cut in a header":   whole.Data[:3],
			"absent":            {},
			"flipped":           flipped,
			"not zstd":          c,
			"followed by bytes": append(slices.Clip(whole.Data), "tail"...),
			"followed by half":  append(slices.Clip(whole.Data), whole.Data[:100]...),
		} {
			t.Run(name, func(t *testing.T) {
				b := whole
				b.Data = data
				wantRefused(t, s, b)
			})
		}
	}
}

// testBomb writes a stream that decodes to far more than its size says. It
// must fail while it is written: what follows the first frames is not needed to
// know.
func testBomb(t *testing.T, s blobstore.Store) {
	frame := encoding.AppendCompressed(nil, make([]byte, 16<<20))
	for _, n := range []int{1000, 1 << 20} {
		c := Content(n, 1)
		w := begin(t, s, blobstore.Spec{Key: CAS(c), Size: int64(n), Encoding: blobstore.Zstd})
		var err error
		for range 1000 {
			if _, err = w.Write(frame); err != nil {
				break
			}
		}
		if !errors.Is(err, blobstore.ErrNoSpace) {
			wantMismatch(t, CAS(c), err)
		}
		w.Abort()
		wantMissing(t, s, CAS(c))
	}
}

// testPadded writes a valid stream that is mostly padding: a store may have no
// room for it, but must not take it wrong.
func testPadded(t *testing.T, s blobstore.Store) {
	c := Content(2000, 1)
	b := compressed(CAS(c), c)
	b.Data = append(skippable(3<<20), b.Data...)
	for _, err := range []error{write(t, s, b, 100_000), s.Put(t.Context(), []blobstore.Blob{b})[0]} {
		switch {
		case err == nil:
			wantContent(t, s, b.Key, c)
		case errors.Is(err, blobstore.ErrNoSpace), errors.Is(err, blobstore.ErrTooLarge), errors.Is(err, blobstore.ErrMismatch):
		default:
			t.Errorf("error %v", err)
		}
	}
}
