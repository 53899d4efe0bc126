package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/encoding"
)

// Content returns n bytes that are the same for the same n and seed and
// different otherwise. Half of them compress.
func Content(n int, seed uint64) []byte {
	var key [32]byte
	for i := range 8 {
		key[i], key[8+i] = byte(seed>>(8*i)), byte(uint64(n)>>(8*i))
	}
	b := make([]byte, n)
	c := rand.NewChaCha8(key)
	_, _ = c.Read(b)
	for i := 0; i+64 <= n; i += 64 {
		copy(b[i+32:i+64], b[i:i+32])
	}
	return b
}

// CAS returns the key of content in the shared CAS, under SHA256.
func CAS(content []byte) blobstore.Key {
	return blobstore.Namespace{}.CAS("", digest.Of(digest.SHA256, content))
}

// AC returns a key of the action cache that name stands for.
func AC(instance, name string) blobstore.Key {
	return blobstore.Namespace{}.AC(instance, digest.Of(digest.SHA256, []byte(name)))
}

// identity returns content as a blob under the key, as it is.
func identity(key blobstore.Key, content []byte) blobstore.Blob {
	return blobstore.Blob{Spec: blobstore.Spec{Key: key, Size: int64(len(content))}, Data: content}
}

// compressed returns content as a blob under the key, in zstd.
func compressed(key blobstore.Key, content []byte) blobstore.Blob {
	spec := blobstore.Spec{Key: key, Size: int64(len(content)), Encoding: blobstore.Zstd}
	return blobstore.Blob{Spec: spec, Data: encoding.AppendCompressed(nil, content)}
}

// write writes a blob through Create, in chunks, and returns the first error.
func write(t *testing.T, s blobstore.Store, b blobstore.Blob, chunk int) error {
	t.Helper()
	w, err := s.Create(t.Context(), b.Spec)
	if err != nil {
		return err
	}
	defer w.Abort()
	for p := range slices.Chunk(b.Data, chunk) {
		n, err := w.Write(p)
		if err != nil {
			return err
		}
		if n != len(p) {
			t.Fatalf("Write took %d of %d bytes without an error", n, len(p))
		}
	}
	return w.Commit()
}

// mustPut writes blobs with Put.
func mustPut(t *testing.T, s blobstore.Store, blobs ...blobstore.Blob) {
	t.Helper()
	errs := s.Put(t.Context(), blobs)
	if len(errs) != len(blobs) {
		t.Fatalf("Put of %d blobs returned %d errors", len(blobs), len(errs))
	}
	for i, err := range errs {
		if err != nil {
			t.Fatalf("Put of %v: %v", blobs[i].Key, err)
		}
	}
}

// mustWrite writes blobs with Create.
func mustWrite(t *testing.T, s blobstore.Store, blobs ...blobstore.Blob) {
	t.Helper()
	for _, b := range blobs {
		if err := write(t, s, b, 100_000); err != nil {
			t.Fatalf("writing %v: %v", b.Key, err)
		}
	}
}

// open opens a blob that must be there.
func open(t *testing.T, s blobstore.Store, key blobstore.Key) blobstore.Reader {
	t.Helper()
	r, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("Get %v: %v", key, err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// decode returns the content of a blob's stored bytes.
func decode(t *testing.T, r blobstore.Reader, stored []byte) []byte {
	t.Helper()
	content, err := decodeStored(r, stored)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func decodeStored(r blobstore.Reader, stored []byte) ([]byte, error) {
	if int64(len(stored)) != r.StoredSize() {
		return nil, fmt.Errorf("read %d stored bytes, StoredSize is %d", len(stored), r.StoredSize())
	}
	if r.Encoding() == blobstore.Identity {
		return stored, nil
	}
	content, err := encoding.AppendDecompressed(nil, stored, r.Size())
	if err != nil {
		return nil, fmt.Errorf("stored zstd: %w", err)
	}
	return content, nil
}

// wantContent reads a blob in whatever form it is stored and compares it.
func wantContent(t *testing.T, s blobstore.Store, key blobstore.Key, want []byte) {
	t.Helper()
	r := open(t, s, key)
	defer r.Close()
	if r.Size() != int64(len(want)) {
		t.Errorf("%v: Size is %d, want %d", key, r.Size(), len(want))
	}
	stored, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("reading %v: %v", key, err)
	}
	if !bytes.Equal(decode(t, r, stored), want) {
		t.Errorf("%v: wrong content", key)
	}
}

// wantMissing checks that neither Get nor FindMissing finds the blob.
func wantMissing(t *testing.T, s blobstore.Store, key blobstore.Key) {
	t.Helper()
	if r, err := s.Get(t.Context(), key); !errors.Is(err, blobstore.ErrNotFound) {
		if err == nil {
			r.Close()
		}
		t.Errorf("Get %v: error %v, want ErrNotFound", key, err)
	}
	missing, err := s.FindMissing(t.Context(), []blobstore.Key{key})
	if err != nil || len(missing) != 1 || missing[0] != 0 {
		t.Errorf("FindMissing %v: %v, %v, want it missing", key, missing, err)
	}
}

// wantMismatch checks that err blames the content, by value.
func wantMismatch(t *testing.T, key blobstore.Key, err error) {
	t.Helper()
	var m *blobstore.MismatchError
	if !errors.Is(err, blobstore.ErrMismatch) || !errors.As(err, &m) {
		t.Errorf("error %v, want a *MismatchError", err)
		return
	}
	if m.Key != key || m.Reason == "" {
		t.Errorf("mismatch of %v with reason %q, want %v and a reason", m.Key, m.Reason, key)
	}
}
