package encoding

import (
	"bytes"
	"context"
	"errors"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/server/blobstore"
)

// Verify checks a blob in memory: its size, that it decodes if it is
// compressed and, in the CAS, its hash (rules 2 and 4). What differs is a
// *blobstore.MismatchError. It decodes into memory of its own and never more
// than the size allows.
func Verify(b blobstore.Blob) error {
	if err := validate(b.Spec); err != nil {
		return err
	}
	if b.Encoding == blobstore.Zstd {
		return verifyZstd(b)
	}
	return verifyIdentity(b.Spec, b.Data)
}

func verifyIdentity(spec blobstore.Spec, content []byte) error {
	if int64(len(content)) != spec.Size {
		return mismatch(spec.Key, "content has %d bytes, not %d", len(content), spec.Size)
	}
	if spec.Key.Kind != blobstore.CAS {
		return nil
	}
	if got := digest.Of(spec.Key.Digest.Function(), content); got != spec.Key.Digest {
		wrong := got // a copy, so that only the wrong one is allocated
		return wrongHash(spec.Key, wrong.Hash())
	}
	return nil
}

func verifyZstd(b blobstore.Blob) error {
	if b.Size <= wholeLimit {
		return verifyWhole(b.Spec, b.Data)
	}
	c, err := newCheck(b.Spec)
	if err != nil {
		return err
	}
	defer c.close()
	err = decodeTo(context.Background(), shared().local, &c, bytes.NewReader(b.Data))
	if err != nil {
		return asMismatch(b.Key, err)
	}
	return c.finish()
}

// verifyWhole checks a zstd stream of a blob of at most wholeLimit bytes.
func verifyWhole(spec blobstore.Spec, data []byte) error {
	buf := shared().whole.Get().(*[wholeLimit]byte)
	defer shared().whole.Put(buf)
	content, err := decodeWhole(buf[:0:spec.Size], data)
	if errors.Is(err, errTooLong) {
		return mismatch(spec.Key, "content has more than %d bytes", spec.Size)
	}
	if err != nil {
		return mismatch(spec.Key, "%s", reason(err))
	}
	return verifyIdentity(spec, content)
}

// asMismatch makes a decoder's error one about the content, unless it is about
// that already or about the server.
func asMismatch(key blobstore.Key, err error) error {
	if errors.Is(err, blobstore.ErrMismatch) || errors.Is(err, blobstore.ErrUnavailable) {
		return err
	}
	return mismatch(key, "%s", reason(err))
}
