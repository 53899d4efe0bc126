package encoding

import (
	"fmt"
	"hash"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/server/blobstore"
)

// check compares uncompressed content with what a spec says of it, as it
// comes.
type check struct {
	spec blobstore.Spec
	// hash is nil for an action result, whose digest is not its content's.
	hash hash.Hash
	seen int64
}

func newCheck(spec blobstore.Spec) (check, error) {
	c := check{spec: spec}
	if err := validate(spec); err != nil {
		return c, err
	}
	if spec.Key.Kind == blobstore.CAS {
		c.hash = spec.Key.Digest.Function().GetHash(spec.Size)
	}
	return c, nil
}

// validate finds what no content could satisfy.
func validate(spec blobstore.Spec) error {
	d := spec.Key.Digest
	switch {
	case spec.Encoding > blobstore.Zstd:
		return fmt.Errorf("encoding %d is not known", spec.Encoding)
	case spec.Size < 0:
		return fmt.Errorf("size %d of %v is not known", spec.Size, spec.Key)
	case spec.Key.Kind != blobstore.CAS:
		return nil
	case !d.Function().Supported():
		return fmt.Errorf("digest function %v is not offered by this server", d.Function())
	case d.Size() != spec.Size:
		return mismatch(spec.Key, "content is announced with %d bytes", spec.Size)
	}
	return nil
}

// Write takes the next bytes. It takes none if they are too many.
func (c *check) Write(p []byte) (int, error) {
	if int64(len(p)) > c.spec.Size-c.seen {
		return 0, c.tooLong()
	}
	c.seen += int64(len(p))
	if c.hash != nil {
		c.hash.Write(p)
	}
	return len(p), nil
}

func (c *check) tooLong() error {
	return mismatch(c.spec.Key, "content has more than %d bytes", c.spec.Size)
}

// finish judges what was written.
func (c *check) finish() error {
	if c.seen != c.spec.Size {
		return mismatch(c.spec.Key, "content has %d bytes, not %d", c.seen, c.spec.Size)
	}
	if c.hash == nil {
		return nil
	}
	var sum [digest.MaxHashSize]byte
	d := &c.spec.Key.Digest
	if got := c.hash.Sum(sum[:0]); string(got) != string(d.Hash()) {
		return wrongHash(c.spec.Key, got)
	}
	return nil
}

// close gives the running hash back. It may be called twice.
func (c *check) close() {
	if c.hash != nil {
		c.spec.Key.Digest.Function().PutHash(c.hash)
		c.hash = nil
	}
}

func wrongHash(key blobstore.Key, got []byte) error {
	return mismatch(key, "content has the %v hash %x", key.Digest.Function(), got)
}

func mismatch(key blobstore.Key, format string, args ...any) error {
	return &blobstore.MismatchError{Key: key, Reason: fmt.Sprintf(format, args...)}
}
