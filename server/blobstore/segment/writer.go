package segment

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/encoding"
)

// zstdSlack is room for a compressed stream that is written in an unusual way.
const zstdSlack = 4 << 10

var errWriterDone = errors.New("blob writer was committed or aborted")

// writer takes a blob as it comes. A small one is kept in memory and written
// as one record when it is complete. For a large one room is reserved; its data
// is written as it comes and its header last, so that what is recovered is
// what was committed.
type writer struct {
	s    *Store
	ctx  context.Context
	spec blobstore.Spec // as it is stored
	tag  uint64
	// check verifies what is written; nil for what was verified before.
	check *encoding.Verifier
	// trying says that the content is kept until it is known whether it
	// compresses; zip compresses it then.
	trying bool
	zip    io.WriteCloser

	buf  *buffer // stored bytes that are not in the file yet
	n    int     // how many
	hold int     // how many may be kept before room is reserved

	place  place // zero until room is reserved
	limit  int64 // the most stored bytes there is room for
	stored int64 // those in the file
	crcs   crcTable

	err  error // what ended it
	done bool
}

// Create begins a blob. Room for a large one is reserved at once; the context
// bounds the waiting for it.
func (s *Store) Create(ctx context.Context, spec blobstore.Spec) (blobstore.Writer, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	if spec.Size < 0 {
		return nil, fmt.Errorf("size of %v is not known", spec.Key)
	}
	if err := s.checkSize(&spec, 0); err != nil {
		return nil, err
	}
	w := s.newWriter(ctx, spec)
	if spec.Size > int64(w.hold) {
		if err := w.begin(); err != nil {
			return nil, err
		}
	}
	w.check = encoding.NewVerifierContext(ctx, spec)
	return w, nil
}

func (s *Store) newWriter(ctx context.Context, spec blobstore.Spec) *writer {
	w := &writer{s: s, ctx: ctx, spec: spec, tag: s.ident.key.tag(&spec.Key), limit: spec.Size, hold: blobstore.ReadBlock}
	w.trying = s.compresses(&spec)
	if w.trying || spec.Encoding == blobstore.Zstd {
		w.limit = encoding.MaxCompressed(spec.Size) + zstdSlack
	}
	if spec.Encoding == blobstore.Zstd {
		w.hold = largeBuffer
	}
	w.hold = min(w.hold, int(s.segmentBytes/8))
	return w
}

func (w *writer) Write(p []byte) (int, error) {
	if err := w.usable(); err != nil {
		return 0, err
	}
	n, err := w.check.Write(p)
	if err == nil {
		err = w.feedOpen(p)
	}
	if err != nil {
		w.err = err
		return 0, err
	}
	return n, nil
}

func (w *writer) usable() error {
	switch {
	case w.done:
		return errWriterDone
	case w.err != nil:
		return w.err
	case w.s.closed.Load():
		return blobstore.ErrClosed
	}
	return w.ctx.Err()
}

// feedOpen is feed as a call that Close waits for.
func (w *writer) feedOpen(p []byte) error {
	if err := w.s.enter(w.ctx); err != nil {
		return err
	}
	defer w.s.leave()
	return w.feed(p)
}

// feed takes content that was verified, or is being verified.
func (w *writer) feed(p []byte) error {
	if w.trying {
		if w.n+len(p) <= blobstore.ReadBlock && w.keep(p) {
			return nil
		}
		if err := w.choose(p); err != nil {
			return err
		}
	}
	if w.zip != nil {
		_, err := w.zip.Write(p)
		return err
	}
	return w.take(p)
}

// choose decides, from what there is of the content, whether all of it is
// compressed. p is what comes next.
func (w *writer) choose(p []byte) error {
	w.trying = false
	sample := p[:min(len(p), blobstore.ReadBlock)]
	if w.n > 0 {
		sample = w.buf.b[:w.n]
	}
	if !saves(len(encoding.AppendCompressed(nil, sample)), len(sample)) {
		return nil
	}
	w.spec.Encoding = blobstore.Zstd
	w.zip = encoding.NewCompressor((*writerSink)(w))
	kept, n := w.buf, w.n
	w.buf, w.n = nil, 0
	defer w.s.buffers.takeBack(kept)
	if n == 0 {
		return nil
	}
	_, err := w.zip.Write(kept.b[:n])
	return err
}

// pack compresses all of the content, which is in the buffer, if that saves
// enough.
func (w *writer) pack() {
	w.trying = false
	if w.n == 0 {
		return
	}
	packed := encoding.AppendCompressed(nil, w.buf.b[:w.n])
	if saves(len(packed), w.n) {
		w.spec.Encoding = blobstore.Zstd
		w.n = copy(w.buf.b, packed)
	}
}

// writerSink is where the compressor writes to.
type writerSink writer

func (w *writerSink) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if err := (*writer)(w).take(p); err != nil {
		w.err = err
		return 0, err
	}
	return len(p), nil
}

// take takes stored bytes.
func (w *writer) take(p []byte) error {
	if w.place.seg == nil {
		if w.n+len(p) <= w.hold && w.keep(p) {
			return nil
		}
		if err := w.begin(); err != nil {
			return err
		}
	}
	if w.stored+int64(w.n+len(p)) > w.limit {
		return fmt.Errorf("%w: compressed content of %d bytes outgrows its room of %d", blobstore.ErrNoSpace, w.spec.Size, w.limit)
	}
	if w.n+len(p) < blobstore.ReadBlock && w.keep(p) {
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	if len(p) < blobstore.ReadBlock && w.keep(p) {
		return nil
	}
	return w.write(p)
}

// keep puts p into the buffer, if the writer may have one of that size.
func (w *writer) keep(p []byte) bool {
	if len(p) == 0 {
		return true
	}
	if need := w.n + len(p); w.buf == nil || need > len(w.buf.b) {
		b := w.s.buffers.lend(max(need, int(min(w.limit, blobstore.ReadBlock))))
		if b == nil {
			return false
		}
		if w.buf != nil {
			copy(b.b, w.buf.b[:w.n])
			w.s.buffers.takeBack(w.buf)
		}
		w.buf = b
	}
	w.n += copy(w.buf.b[w.n:], p)
	return true
}

// begin reserves room for all that may come.
func (w *writer) begin() error {
	n := recordLen(keyHeaderLen(&w.spec.Key), w.limit)
	p, err := w.s.reserveRecord(w.ctx, n)
	if err != nil {
		return err
	}
	w.place = p
	w.s.room.reserved.Add(p.length)
	return nil
}

// reserveRecord reserves room for a record, in a segment of its own if it is
// large.
func (s *Store) reserveRecord(ctx context.Context, n int64) (place, error) {
	if n > s.segmentBytes/4 {
		return s.reserveSingle(ctx, n)
	}
	return s.reserve(ctx, n, 1)
}

// flush writes what is kept.
func (w *writer) flush() error {
	if w.n == 0 {
		return nil
	}
	n := w.n
	w.n = 0
	return w.write(w.buf.b[:n])
}

// write writes stored bytes to their place.
func (w *writer) write(p []byte) error {
	if _, err := w.place.seg.f.WriteAt(p, w.at(w.stored)); err != nil {
		return w.s.writeError(err)
	}
	w.crcs.add(p)
	w.stored += int64(len(p))
	return nil
}

// at is where the stored byte of that number is in the file.
func (w *writer) at(stored int64) int64 {
	return w.place.offset + keyHeaderLen(&w.spec.Key) + stored
}

// Commit makes the blob visible if it is what its key says.
func (w *writer) Commit() error {
	defer w.Abort()
	if err := w.usable(); err != nil {
		return err
	}
	if err := w.s.enter(w.ctx); err != nil {
		return err
	}
	defer w.s.leave()
	if err := w.check.Finish(); err != nil {
		return err
	}
	if err := w.finish(); err != nil {
		return err
	}
	return w.s.durable()
}

// finish stores what was verified.
func (w *writer) finish() error {
	if w.trying {
		w.pack()
	}
	if w.zip != nil {
		err := w.zip.Close()
		w.zip = nil
		if err != nil {
			return err
		}
	}
	if w.spec.Key.Kind == blobstore.CAS {
		if _, ok := w.s.index.touch(w.tag, w.spec.Size, w.s.minute()); ok {
			return nil // another wrote it meanwhile
		}
	}
	if w.place.seg == nil {
		return w.finishSmall()
	}
	return w.finishLarge()
}

// finishSmall writes all of the record at once.
func (w *writer) finishSmall() error {
	var data []byte
	if w.buf != nil {
		data = w.buf.b[:w.n]
	}
	b := batchPool.Get().(*batch)
	defer func() { b.reset(); batchPool.Put(b) }()
	b.items = append(b.items, batchItem{tag: w.tag, spec: w.spec, data: data})
	b.length = recordLen(keyHeaderLen(&w.spec.Key), int64(len(data)))
	return w.s.appendBatch(w.ctx, b)
}

// finishLarge writes what makes the data a record: the CRCs, then the header.
func (w *writer) finishLarge() error {
	if err := w.flush(); err != nil {
		return err
	}
	seg := w.place.seg
	// The padding is written, too: a file that ended before its last record
	// does would look cut off to recovery.
	head := keyHeaderLen(&w.spec.Key)
	table := make([]byte, recordLen(head, w.stored)-head-w.stored)
	copy(table, w.crcs.finish())
	if _, err := seg.f.WriteAt(table, w.at(w.stored)); err != nil {
		return w.s.writeError(err)
	}
	s := w.s
	mask := resultMask(w.spec.Key.Kind, w.tag)
	s.order.RLock()
	defer s.order.RUnlock()
	s.order.lockResults(mask)
	defer s.order.unlockResults(mask)

	h := headerOf(&w.spec, w.stored)
	now := s.now()
	h.version, h.written, h.minute = s.version.Add(1), now.Unix(), minuteOf(now)
	if _, err := seg.f.WriteAt(h.append(nil, seg.mac, w.place.offset), w.place.offset); err != nil {
		return s.writeError(err)
	}
	s.markDirty(seg) // before anybody takes it for written
	used := h.recordLen()
	if !s.publish(seg, w.tag, &h, w.place.offset) && seg.single {
		used = 0
	}
	w.release(used)
	return nil
}

// release ends the reservation, of which so much is used.
func (w *writer) release(used int64) {
	if w.place.seg == nil {
		return
	}
	w.s.room.reserved.Add(-w.place.length)
	w.s.unpin(w.place, used)
	w.place = place{}
}

// Abort frees what the writer holds.
func (w *writer) Abort() {
	if w.done {
		return
	}
	w.done = true
	if w.err == nil {
		w.err = errWriterDone
	}
	if w.zip != nil {
		w.zip.Close() // w.err keeps it from writing
		w.zip = nil
	}
	if w.check != nil {
		w.check.Close()
	}
	w.release(0)
	w.s.buffers.takeBack(w.buf)
	w.buf, w.n = nil, 0
}
