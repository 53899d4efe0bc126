package segment

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/encoding"
)

const (
	// batchBytes is how much is written at once: what Put is given is cut into
	// writes of about that length.
	batchBytes = 1 << 20
	// batchBlob is the stored size from which a blob is written on its own.
	batchBlob = 256 << 10
	// compressFrom is the size from which compression at rest is tried.
	compressFrom = 128
	// Compression at rest must save one part in minSaving.
	minSaving = 32
)

// batch is what will be one write.
type batch struct {
	now    time.Time
	items  []batchItem
	length int64 // of the records
	buf    []byte
	extra  []byte // compressed data of the items
}

type batchItem struct {
	index int // in what Put was given
	tag   uint64
	spec  blobstore.Spec // as it is stored
	data  []byte
}

var batchPool = sync.Pool{New: func() any { return new(batch) }}

func (b *batch) reset() {
	clear(b.items)
	b.items, b.length, b.extra = b.items[:0], 0, b.extra[:0]
}

// Put writes blobs, those that fit in one write together.
func (s *Store) Put(ctx context.Context, blobs []blobstore.Blob) []error {
	errs := make([]error, len(blobs))
	if err := s.enter(ctx); err != nil {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	defer s.leave()
	b := batchPool.Get().(*batch)
	defer func() { b.reset(); batchPool.Put(b) }()
	wrote := false // or another does, who may not have synced it
	for i := range blobs {
		done, err := s.admit(&blobs[i])
		switch {
		case err != nil || done:
			errs[i] = err
			wrote = wrote || done
		case len(blobs[i].Data) > s.batchBlob():
			errs[i] = s.putLarge(ctx, &blobs[i])
			wrote = true
		default:
			if b.length > 0 && b.length+s.batchRoom(&blobs[i]) > s.batchBytes {
				s.writeBatch(ctx, b, errs)
			}
			s.add(b, i, &blobs[i])
			wrote = true
		}
	}
	s.writeBatch(ctx, b, errs)
	if wrote {
		s.settle(errs)
	}
	return errs
}

// settle waits until what was written is durable, if it has to be.
func (s *Store) settle(errs []error) {
	err := s.durable()
	if err == nil {
		return
	}
	for i := range errs {
		if errs[i] == nil {
			errs[i] = err
		}
	}
}

// batchBlob is the size from which blobs are written alone.
func (s *Store) batchBlob() int { return int(min(batchBlob, s.segmentBytes/8)) }

// admit verifies a blob, and tells whether the store has it already.
func (s *Store) admit(b *blobstore.Blob) (done bool, err error) {
	if err := s.checkSize(&b.Spec, int64(len(b.Data))); err != nil {
		return false, err
	}
	if err := encoding.Verify(*b); err != nil {
		return false, err
	}
	if b.Key.Kind != blobstore.CAS {
		return false, nil
	}
	_, ok := s.index.touch(s.ident.key.tag(&b.Key), b.Size, s.minute())
	return ok, nil
}

// checkSize refuses what the store can never hold.
func (s *Store) checkSize(spec *blobstore.Spec, stored int64) error {
	if len(spec.Key.Instance) > blobstore.MaxInstanceLen {
		return fmt.Errorf("instance name has %d bytes, at most %d are possible", len(spec.Key.Instance), blobstore.MaxInstanceLen)
	}
	if largest := max(spec.Size, stored); largest > s.maxBlob {
		return fmt.Errorf("%w: %d bytes, this store takes up to %d", blobstore.ErrTooLarge, largest, s.maxBlob)
	}
	return nil
}

func (s *Store) batchRoom(b *blobstore.Blob) int64 {
	return recordLen(keyHeaderLen(&b.Key), int64(len(b.Data)))
}

// add puts a verified blob into the batch, compressed if that is wanted.
func (s *Store) add(b *batch, i int, blob *blobstore.Blob) {
	item := batchItem{index: i, tag: s.ident.key.tag(&blob.Key), spec: blob.Spec, data: blob.Data}
	if s.compresses(&blob.Spec) {
		from := len(b.extra)
		b.extra = encoding.AppendCompressed(b.extra, blob.Data)
		if packed := b.extra[from:]; saves(len(packed), len(blob.Data)) {
			item.spec.Encoding, item.data = blobstore.Zstd, packed
		} else {
			b.extra = b.extra[:from]
		}
	}
	b.items = append(b.items, item)
	b.length += recordLen(keyHeaderLen(&item.spec.Key), int64(len(item.data)))
}

// compresses reports whether the store should try to compress that blob.
func (s *Store) compresses(spec *blobstore.Spec) bool {
	return s.opts.Compress && spec.Key.Kind == blobstore.CAS && spec.Encoding == blobstore.Identity && spec.Size >= compressFrom
}

func saves(packed, raw int) bool { return packed <= raw-raw/minSaving }

// writeBatch writes and publishes the batch and empties it. Its error is that
// of each of its blobs.
func (s *Store) writeBatch(ctx context.Context, b *batch, errs []error) {
	if len(b.items) == 0 {
		return
	}
	err := s.appendBatch(ctx, b)
	for i := range b.items {
		errs[b.items[i].index] = err
	}
	b.reset()
}

func (s *Store) appendBatch(ctx context.Context, b *batch) error {
	p, err := s.reserve(ctx, b.length, len(b.items))
	if err != nil {
		return err
	}
	defer s.unpin(p, p.length)
	var mask uint64
	for i := range b.items {
		mask |= resultMask(b.items[i].spec.Key.Kind, b.items[i].tag)
	}
	s.order.RLock()
	defer s.order.RUnlock()
	s.order.lockResults(mask)
	defer s.order.unlockResults(mask)

	version := s.version.Add(uint64(len(b.items))) - uint64(len(b.items))
	b.now = s.now()
	b.encode(p, version)
	if _, err := p.seg.f.WriteAt(b.buf, p.offset); err != nil {
		return s.writeError(err)
	}
	s.markDirty(p.seg) // before anybody takes it for written
	s.publishBatch(b, p, version)
	return nil
}

// encode lays the batch's records out as they will be in the segment.
func (b *batch) encode(p place, version uint64) {
	b.buf = b.buf[:0]
	for i := range b.items {
		h := b.header(i, version)
		b.buf = h.append(b.buf, p.seg.mac, p.offset+int64(len(b.buf)))
		b.buf = append(b.buf, b.items[i].data...)
		b.buf = appendCRCs(b.buf, b.items[i].data)
		for len(b.buf)%recordAlign != 0 {
			b.buf = append(b.buf, 0)
		}
	}
}

// header is the header of the item at i, where versions begin after that one.
func (b *batch) header(i int, version uint64) header {
	h := headerOf(&b.items[i].spec, int64(len(b.items[i].data)))
	h.version, h.written, h.minute = version+uint64(i)+1, b.now.Unix(), minuteOf(b.now)
	return h
}

func (s *Store) publishBatch(b *batch, p place, version uint64) {
	at := p.offset
	for i := range b.items {
		h := b.header(i, version)
		s.publish(p.seg, b.items[i].tag, &h, at)
		at += h.recordLen()
	}
}

// putLarge writes a blob that was verified on its own.
func (s *Store) putLarge(ctx context.Context, b *blobstore.Blob) error {
	w := s.newWriter(ctx, b.Spec)
	w.limit = max(w.limit, int64(len(b.Data)))
	defer w.Abort()
	if err := w.feed(b.Data); err != nil {
		return err
	}
	return w.finish()
}
