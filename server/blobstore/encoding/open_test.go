package encoding

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/larder-build/larder/server/blobstore"
)

func decoded(t *testing.T, data []byte) []byte {
	t.Helper()
	d, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	out, err := d.DecodeAll(data, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestOpen(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 100, 5000, wholeLimit, wholeLimit + 1, 3 << 20} {
		content := text(size)
		for _, from := range []blobstore.Encoding{0, 1} {
			data := content
			if from == 1 {
				data = AppendCompressed(nil, content)
			}
			for _, offset := range []int{0, 1, size / 2, size - 1, size} {
				for _, limit := range []int{0, 1, size / 3, size, size + 5} {
					if offset < 0 || offset > size {
						continue
					}
					want := content[offset:]
					if limit > 0 {
						want = want[:min(limit, len(want))]
					}
					for _, to := range []blobstore.Encoding{0, 1} {
						s := &shelf{spec: specOf(content, from), data: data}
						name := fmt.Sprintf("%d bytes, %v to %v, %d+%d", size, from, to, offset, limit)
						c, err := Open(t.Context(), s, s.spec.Key, Request{Encoding: to, Offset: int64(offset), Limit: int64(limit)})
						if err != nil {
							t.Fatalf("%s: %v", name, err)
						}
						got, err := io.ReadAll(c)
						if err != nil {
							t.Fatalf("%s: %v", name, err)
						}
						if c.Size() != int64(size) {
							t.Errorf("%s: Size %d", name, c.Size())
						}
						if l := c.Length(); l != -1 && l != int64(len(got)) || l == -1 && to == 0 {
							t.Errorf("%s: Length %d, read %d", name, l, len(got))
						}
						if to == 1 {
							got = decoded(t, got)
						}
						if !bytes.Equal(got, want) {
							t.Errorf("%s: wrong content", name)
						}
						c.Close()
						for _, r := range s.opened {
							if !r.shut {
								t.Errorf("%s: reader left open", name)
							}
						}
					}
				}
			}
		}
	}
}
