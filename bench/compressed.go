package main

import (
	"context"
	"errors"

	"github.com/klauspost/compress/zstd"
)

// packer compresses blobs as a client would.
type packer struct {
	content buffer
	encoder *zstd.Encoder
}

func newPacker(c *contents) *packer {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic(err) // only a bad option fails
	}
	return &packer{buffer{contents: c}, encoder}
}

func (p *packer) pack(id blobID) []byte {
	return p.encoder.EncodeAll(p.content.blob(id), nil)
}

// zstdWrite uploads new blobs of one size, compressed before the measurement.
type zstdWrite struct {
	streamWrite
	packer *packer
	packed [][]byte
}

func newZstdWrite(size int) makeOperations {
	return func(c *contents, space uint64) operations {
		return &zstdWrite{streamWrite: streamWrite{contents: c, space: space, size: size}, packer: newPacker(c)}
	}
}

func (w *zstdWrite) prepare(first, n int) {
	w.first, w.names, w.packed = first, make([]string, n), make([][]byte, n)
	for k := range n {
		id := w.id(first + k)
		w.names[k] = writeName(id.serial, readNameZstd(w.contents.digest(id)))
		w.packed[k] = w.packer.pack(id)
	}
}

func (w *zstdWrite) do(ctx context.Context, c *caller, i int) (int64, error) {
	data := w.packed[i-w.first]
	return int64(len(data)), c.write(ctx, w.names[i-w.first], data)
}

// zstdRead downloads compressed what was uploaded compressed.
type zstdRead struct {
	packer *packer
	set    []stored
}

func newZstdRead(size, count int) makeOperations {
	return func(c *contents, space uint64) operations {
		set := newSet(c, size, count, space+setupSpace)
		for i := range set {
			set[i].name = readNameZstd(set[i].digest)
		}
		return &zstdRead{newPacker(c), set}
	}
}

func (r *zstdRead) setup(ctx context.Context, c *caller) error {
	for _, s := range r.set {
		err := c.write(ctx, writeName(s.id.serial, s.name), r.packer.pack(s.id))
		if err != nil && !errors.Is(err, errThere) {
			return err
		}
	}
	return nil
}

func (r *zstdRead) prepare(int, int) {}

func (r *zstdRead) do(ctx context.Context, c *caller, i int) (int64, error) {
	s := r.set[scatter(uint64(i), len(r.set))]
	return c.readZstd(ctx, s.name, s.id)
}
