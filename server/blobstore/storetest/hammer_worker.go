package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"

	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/encoding"
)

// worker is one goroutine of a load.
type worker struct {
	h     *History
	store blobstore.Store
	rng   *rand.Rand
}

func (w *worker) run(ctx context.Context) error {
	for i := 0; i < w.h.opts.Operations && ctx.Err() == nil; i++ {
		// A verb that the end of the load cut off proves nothing.
		if err := w.operation(ctx); err != nil && ctx.Err() == nil && !w.h.opts.Tolerate(err) {
			return err
		}
	}
	return nil
}

// operation does one verb with random blobs.
func (w *worker) operation(ctx context.Context) error {
	switch w.rng.IntN(10) {
	case 0, 1:
		return w.write(ctx, pick(w.rng, w.h.blobs))
	case 2:
		return w.put(ctx)
	case 3:
		return w.overwrite(ctx, pick(w.rng, w.h.actions))
	case 4:
		return w.spoil(ctx, pick(w.rng, w.h.blobs))
	case 5:
		return w.findMissing(ctx, w.some(100))
	case 6:
		return w.read(ctx, pick(w.rng, w.h.actions))
	case 7:
		return w.readPart(ctx, pick(w.rng, w.h.blobs))
	}
	return w.read(ctx, pick(w.rng, w.h.blobs))
}

func pick(rng *rand.Rand, records []*record) *record { return records[rng.IntN(len(records))] }

// some returns up to n records of both kinds, perhaps one twice.
func (w *worker) some(n int) []*record {
	var records []*record
	for range w.rng.IntN(n) {
		from := w.h.blobs
		if w.rng.IntN(4) == 0 {
			from = w.h.actions
		}
		records = append(records, pick(w.rng, from))
	}
	return records
}

// blob returns content in either encoding.
func (w *worker) blob(key blobstore.Key, content []byte) blobstore.Blob {
	if w.rng.IntN(3) == 0 {
		return compressed(key, content)
	}
	return identity(key, content)
}

// stream writes a blob through Create.
func (w *worker) stream(ctx context.Context, b blobstore.Blob) error {
	wr, err := w.store.Create(ctx, b.Spec)
	if err != nil {
		return err
	}
	defer wr.Abort()
	for p := range slices.Chunk(b.Data, 1+w.rng.IntN(100_000)) {
		if _, err := wr.Write(p); err != nil {
			return err
		}
	}
	return wr.Commit()
}

func (w *worker) write(ctx context.Context, r *record) error {
	r.begin(1)
	if err := w.stream(ctx, w.blob(r.key, r.content(1))); err != nil {
		return fmt.Errorf("writing %v: %w", r.key, err)
	}
	r.acknowledge(1)
	return nil
}

// put writes some blobs at once, one in ten of them spoilt.
func (w *worker) put(ctx context.Context) error {
	var records []*record
	var blobs []blobstore.Blob
	for range 1 + w.rng.IntN(20) {
		r := pick(w.rng, w.h.blobs)
		b := w.blob(r.key, r.content(1))
		if w.rng.IntN(10) == 0 {
			b, r = spoilt(r), nil
		} else {
			r.begin(1)
		}
		records, blobs = append(records, r), append(blobs, b)
	}
	errs := w.store.Put(ctx, blobs)
	if len(errs) != len(blobs) {
		return fmt.Errorf("Put of %d blobs: %d errors", len(blobs), len(errs))
	}
	var failed error
	for i, err := range errs {
		switch {
		case records[i] == nil:
			err = refused(blobs[i].Key, err)
		case err == nil:
			records[i].acknowledge(1)
		}
		if err != nil && (failed == nil || !w.h.opts.Tolerate(err)) {
			failed = fmt.Errorf("putting %v: %w", blobs[i].Key, err)
		}
	}
	return failed
}

// overwrite writes the next version of an action result.
func (w *worker) overwrite(ctx context.Context, r *record) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	version := r.snapshot().begun + 1
	r.begin(version)
	b := w.blob(r.key, r.content(version))
	err := w.stream(ctx, b)
	if w.rng.IntN(2) == 0 && err == nil {
		err = w.store.Put(ctx, []blobstore.Blob{b})[0]
	}
	if err != nil {
		return fmt.Errorf("writing %v: %w", r.key, err)
	}
	r.acknowledge(version)
	return nil
}

// spoil begins to write a blob and gives up, or writes the wrong content.
func (w *worker) spoil(ctx context.Context, r *record) error {
	if w.rng.IntN(2) == 0 {
		b := spoilt(r)
		return refused(b.Key, w.stream(ctx, b))
	}
	content := r.content(1)
	wr, err := w.store.Create(ctx, identity(r.key, content).Spec)
	if err != nil {
		return fmt.Errorf("Create %v: %w", r.key, err)
	}
	defer wr.Abort()
	if _, err := wr.Write(content[:w.rng.IntN(len(content)+1)]); err != nil {
		return fmt.Errorf("writing %v: %w", r.key, err)
	}
	return nil
}

// spoilt returns the record's blob with a byte too many or a wrong one.
func spoilt(r *record) blobstore.Blob {
	b := identity(r.key, bytes.Clone(r.content(1)))
	if len(b.Data)%2 == 0 {
		b.Data = append(b.Data, 0)
	} else {
		b.Data[len(b.Data)/2] ^= 0x10
	}
	return b
}

func refused(key blobstore.Key, err error) error {
	if err == nil {
		return fmt.Errorf("%v: wrong content was acknowledged", key)
	}
	if errors.Is(err, blobstore.ErrMismatch) {
		return nil
	}
	return fmt.Errorf("%v: wrong content is not refused as such: %w", key, err)
}

// read reads a blob as it is stored.
func (w *worker) read(ctx context.Context, r *record) error {
	before := r.snapshot()
	rd, err := w.store.Get(ctx, r.key)
	if err != nil {
		return w.absent(r, before, err)
	}
	defer rd.Close()
	data, err := io.ReadAll(rd)
	if err != nil {
		return fmt.Errorf("reading %v: %w", r.key, err)
	}
	content, err := decodeStored(rd, data)
	if err != nil {
		return fmt.Errorf("reading %v: %w", r.key, err)
	}
	return r.check(content, before, r.snapshot())
}

// absent says whether a blob may be so that was in the state before.
func (w *worker) absent(r *record, before state, err error) error {
	if errors.Is(err, blobstore.ErrNotFound) && (before.acked == 0 || w.h.opts.MayForget) {
		return nil
	}
	return fmt.Errorf("Get %v, of which version %d was acknowledged: %w", r.key, before.acked, err)
}

// readPart reads a blob of the CAS from an offset, as a listener does.
func (w *worker) readPart(ctx context.Context, r *record) error {
	before := r.snapshot()
	offset := w.rng.IntN(r.size + 1)
	req := encoding.Request{Offset: int64(offset), Encoding: blobstore.Encoding(w.rng.IntN(2))}
	c, err := encoding.Open(ctx, w.store, r.key, req)
	if err != nil {
		return w.absent(r, before, err)
	}
	defer c.Close()
	data, err := io.ReadAll(c)
	if err == nil && req.Encoding == blobstore.Zstd {
		data, err = encoding.AppendDecompressed(nil, data, int64(r.size-offset))
	}
	if err != nil {
		return fmt.Errorf("reading %v from %d as %v: %w", r.key, offset, req.Encoding, err)
	}
	return r.check(slices.Concat(r.content(1)[:offset], data), before, r.snapshot())
}

func (w *worker) findMissing(ctx context.Context, records []*record) error {
	var keys []blobstore.Key
	var before []state
	for _, r := range records {
		keys, before = append(keys, r.key), append(before, r.snapshot())
	}
	missing, err := w.store.FindMissing(ctx, keys)
	if err != nil {
		return fmt.Errorf("FindMissing of %d keys: %w", len(keys), err)
	}
	if !slices.IsSorted(missing) {
		return fmt.Errorf("FindMissing: %v is not ascending", missing)
	}
	for i, r := range records {
		_, absent := slices.BinarySearch(missing, i)
		switch {
		case absent && before[i].acked > 0 && !w.h.opts.MayForget:
			return fmt.Errorf("FindMissing: %v is said to be missing, it was acknowledged", r.key)
		case !absent && r.snapshot().begun == 0:
			return fmt.Errorf("FindMissing: %v is said to be there, it was never written", r.key)
		}
	}
	return nil
}
