package storetest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/larder-build/larder/server/blobstore"
)

// Benchmark measures a store's verbs by what a build cache does most. newStore
// is called for each measurement and returns an empty store; it closes the
// store itself in a b.Cleanup. A store that is full must forget.
func Benchmark(b *testing.B, newStore func(b *testing.B) blobstore.Store) {
	const kib, mib = 1 << 10, 1 << 20
	run := func(name string, f func(b *testing.B, s blobstore.Store)) {
		b.Run(name, func(b *testing.B) { f(b, newStore(b)) })
	}
	run("Put/1KiB", func(b *testing.B, s blobstore.Store) { benchmarkPut(b, s, 1, kib) })
	run("Put/100x1KiB", func(b *testing.B, s blobstore.Store) { benchmarkPut(b, s, 100, kib) })
	run("Write/16KiB", func(b *testing.B, s blobstore.Store) { benchmarkWrite(b, s, 16*kib) })
	run("Write/8MiB", func(b *testing.B, s blobstore.Store) { benchmarkWrite(b, s, 8*mib) })
	run("Get/1KiB", func(b *testing.B, s blobstore.Store) { benchmarkGet(b, s, kib) })
	run("Get/16KiB", func(b *testing.B, s blobstore.Store) { benchmarkGet(b, s, 16*kib) })
	run("Get/8MiB", func(b *testing.B, s blobstore.Store) { benchmarkGet(b, s, 8*mib) })
	run("Get/miss", benchmarkMiss)
	run("FindMissing/1000", benchmarkFindMissing)
}

// fresh makes blobs that no store has seen.
type fresh struct {
	content []byte
	n       uint64
}

func newFresh(size int) *fresh { return &fresh{content: Content(size, 1)} }

func (f *fresh) blob() blobstore.Blob {
	f.n++
	binary.LittleEndian.PutUint64(f.content, f.n)
	c := append([]byte(nil), f.content...)
	return identity(CAS(c), c)
}

func benchmarkPut(b *testing.B, s blobstore.Store, count, size int) {
	f := newFresh(size)
	blobs := make([]blobstore.Blob, count)
	b.SetBytes(int64(count * size))
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		for i := range blobs {
			blobs[i] = f.blob()
		}
		b.StartTimer()
		for _, err := range s.Put(b.Context(), blobs) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

func benchmarkWrite(b *testing.B, s blobstore.Store, size int) {
	f := newFresh(size)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		blob := f.blob()
		b.StartTimer()
		if err := writeIn(b, s, blob); err != nil {
			b.Fatal(err)
		}
	}
}

// writeIn writes a blob in the chunks in which clients send them.
func writeIn(b *testing.B, s blobstore.Store, blob blobstore.Blob) error {
	w, err := s.Create(b.Context(), blob.Spec)
	if err != nil {
		return err
	}
	defer w.Abort()
	const chunk = 64 << 10
	for data := blob.Data; len(data) > 0; {
		n := min(chunk, len(data))
		if _, err := w.Write(data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return w.Commit()
}

func benchmarkGet(b *testing.B, s blobstore.Store, size int) {
	f := newFresh(size)
	keys := make([]blobstore.Key, max(2, min(1000, 64<<20/size)))
	for i := range keys {
		blob := f.blob()
		keys[i] = blob.Key
		if err := writeIn(b, s, blob); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		buf := make([]byte, 4*blobstore.ReadBlock)
		for i := 0; pb.Next(); i++ {
			if err := readThrough(b, s, keys[i%len(keys)], buf); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func readThrough(b *testing.B, s blobstore.Store, key blobstore.Key, buf []byte) error {
	r, err := s.Get(b.Context(), key)
	if err != nil {
		return err
	}
	defer r.Close()
	var n int64
	for {
		k, err := r.Read(buf)
		n += int64(k)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if n != r.StoredSize() {
		return fmt.Errorf("read %d of %d bytes", n, r.StoredSize())
	}
	return nil
}

func benchmarkMiss(b *testing.B, s blobstore.Store) {
	key := CAS(Content(100, 1))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Get(b.Context(), key); err == nil {
			b.Fatal("found")
		}
	}
}

func benchmarkFindMissing(b *testing.B, s blobstore.Store) {
	f := newFresh(100)
	var keys []blobstore.Key
	for i := range 1000 {
		blob := f.blob()
		keys = append(keys, blob.Key)
		if i%2 == 0 {
			if err := writeIn(b, s, blob); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		missing, err := s.FindMissing(b.Context(), keys)
		if err != nil || len(missing) != 500 {
			b.Fatal(len(missing), err)
		}
	}
}
