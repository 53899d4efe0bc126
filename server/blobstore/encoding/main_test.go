package encoding

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"testing"

	"go.uber.org/goleak"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/server/blobstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// text returns n bytes that compress about as well as source code.
func text(n int) []byte {
	words := []string{"package ", "func ", "return ", "err ", "nil\n", "if ", "{\n", "}\n", "blob ", "digest "}
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, 0, n+16)
	for len(b) < n {
		b = append(b, words[rng.IntN(len(words))]...)
		b = append(b, byte('a'+rng.IntN(26)))
	}
	return b[:n]
}

// noise returns n bytes that do not compress.
func noise(n int) []byte {
	b := make([]byte, n)
	c := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = c.Read(b)
	return b
}

func specOf(content []byte, e blobstore.Encoding) blobstore.Spec {
	d := digest.Of(digest.SHA256, content)
	return blobstore.Spec{Key: blobstore.Namespace{}.CAS("", d), Size: d.Size(), Encoding: e}
}

// shelf is a Getter of one blob.
type shelf struct {
	spec blobstore.Spec
	data []byte
	// stored is StoredSize if it is not the length of data.
	stored int64
	// err is what reads fail with after data.
	err    error
	opened []*shelfReader
}

func (s *shelf) Get(_ context.Context, key blobstore.Key) (blobstore.Reader, error) {
	if key.Digest.WithSize(s.spec.Size) != s.spec.Key.Digest {
		return nil, blobstore.ErrNotFound
	}
	r := &shelfReader{shelf: s, Reader: bytes.NewReader(s.data)}
	s.opened = append(s.opened, r)
	return r, nil
}

type shelfReader struct {
	*bytes.Reader
	shelf *shelf
	shut  bool
}

func (r *shelfReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err == io.EOF && r.shelf.err != nil {
		err = r.shelf.err
	}
	return n, err
}

func (r *shelfReader) Close() error {
	r.shut = true
	return nil
}

func (r *shelfReader) Size() int64                  { return r.shelf.spec.Size }
func (r *shelfReader) StoredSize() int64            { return max(r.shelf.stored, int64(len(r.shelf.data))) }
func (r *shelfReader) Encoding() blobstore.Encoding { return r.shelf.spec.Encoding }
func (r *shelfReader) SeekTo(offset int64) error {
	_, err := r.Seek(offset, io.SeekStart)
	return err
}
