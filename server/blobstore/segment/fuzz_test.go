package segment

import (
	"bytes"
	"io"
	"testing"

	"github.com/larder-build/larder/server/blobstore"
)

// memoryFile is a file to read from.
type memoryFile struct {
	file
	*bytes.Reader
}

func (f memoryFile) ReadAt(p []byte, at int64) (int, error) { return f.Reader.ReadAt(p, at) }
func (f memoryFile) size() (int64, error)                   { return f.Reader.Size(), nil }

// FuzzRecover overwrites a part of a segment, or adds to it, and recovers what
// is left: some of the records that were written, byte for byte, and never
// anything else, without a panic.
func FuzzRecover(f *testing.F) {
	s := openStore(f, Options{Dir: f.TempDir(), MaxBytes: 64 << 20})
	blobs := append(blobsOf(5, 3000), blobOf(0, 7), blobOf(70_000, 8), resultOf("a", "result"))
	mustPut(f, s, blobs...)
	if err := s.Remove(f.Context(), blobs[1].Key); err != nil {
		f.Fatal(err)
	}
	seg, _, _ := locate(f, s, blobs[0].Key)
	mac, key, name := seg.mac, s.ident.key, segmentFiles(f, s.opts.Dir)[0]
	unsealed := readAll(f, name)
	mustClose(f, s)
	sealed := readAll(f, name)

	f.Add([]byte("LRC1"), uint32(dataStart), false)
	f.Add(unsealed[dataStart:4000], uint32(len(unsealed)), false)
	f.Add(unsealed[dataStart:4000], uint32(4096), true)
	f.Add(sealed[len(sealed)-500:], uint32(len(sealed)), true)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff}, uint32(len(sealed)-trailerLen+12), true)
	window, chunk := make([]byte, scanWindow), make([]byte, footerChunk)
	f.Fuzz(func(t *testing.T, patch []byte, at uint32, isSealed bool) {
		b := bytes.Clone(unsealed)
		if isSealed {
			b = bytes.Clone(sealed)
		}
		at %= uint32(len(b) + 1)
		b = append(b[:at], append(bytes.Clone(patch), b[min(int(at)+len(patch), len(b)):]...)...)
		file := memoryFile{Reader: bytes.NewReader(b)}
		sc := scanner{f: file, size: int64(len(b)), mac: mac, key: key, buf: window}
		res := sc.scan(false)
		if res.err != nil || res.tail > int64(len(b)) {
			t.Fatalf("tail is %d of %d, error %v", res.tail, len(b), res.err)
		}
		checkRecovered(t, res.entries, b, blobs, s.ident.key)
		if tr, err := readTrailer(file, int64(len(b))); err == nil && tr.verify(file, chunk) == nil {
			if _, err := tr.entries(nil, file, chunk, 0, tr.count); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func checkRecovered(t *testing.T, entries []footEntry, b []byte, blobs []blobstore.Blob, k sipKey) {
	t.Helper()
	known := make(map[uint64][]byte)
	for _, blob := range blobs {
		known[k.tag(&blob.Key)] = blob.Data
	}
	for i := range entries {
		e := &entries[i]
		want, ok := known[e.tag()]
		if !ok {
			t.Fatalf("a record appeared: %x at %d", e.tag(), e.offset())
		}
		if e.tombstone() {
			continue
		}
		at := e.offset() + headerLen(32, 0)
		got, err := io.ReadAll(io.NewSectionReader(bytes.NewReader(b), at, e.stored()))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("the record at %d has wrong content, error %v", e.offset(), err)
		}
	}
}
