package encoding

import (
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/larder-build/larder/server/blobstore"
)

func BenchmarkVerifier(b *testing.B) {
	for _, size := range []int{4 << 10, 8 << 20} {
		content := text(size)
		for _, e := range []blobstore.Encoding{blobstore.Identity, blobstore.Zstd} {
			data := content
			if e == blobstore.Zstd {
				data = encode(content)
			}
			spec := specOf(content, e)
			b.Run(fmt.Sprintf("%v/%d", e, size), func(b *testing.B) {
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					v := NewVerifier(spec)
					for p := range slices.Chunk(data, 16<<10) {
						if _, err := v.Write(p); err != nil {
							b.Fatal(err)
						}
					}
					if err := v.Finish(); err != nil {
						b.Fatal(err)
					}
					v.Close()
				}
			})
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	buf := make([]byte, 4*blobstore.ReadBlock)
	for _, size := range []int{4 << 10, 8 << 20} {
		content := text(size)
		for _, s := range []*shelf{
			{spec: specOf(content, blobstore.Identity), data: content},
			{spec: specOf(content, blobstore.Zstd), data: encode(content)},
		} {
			for _, to := range []blobstore.Encoding{blobstore.Identity, blobstore.Zstd} {
				b.Run(fmt.Sprintf("%v to %v/%d", s.spec.Encoding, to, size), func(b *testing.B) {
					b.SetBytes(int64(size))
					b.ReportAllocs()
					for b.Loop() {
						s.opened = s.opened[:0]
						c, err := Open(b.Context(), s, s.spec.Key, Request{Encoding: to})
						if err != nil {
							b.Fatal(err)
						}
						if _, err := io.CopyBuffer(onlyWriter{io.Discard}, readerOnly{c}, buf); err != nil {
							b.Fatal(err)
						}
						c.Close()
					}
				})
			}
		}
	}
}

type onlyWriter struct{ io.Writer }
