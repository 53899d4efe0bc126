package memory

import (
	"context"
	"errors"
	"fmt"

	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/encoding"
)

// errFinished answers a use of a writer after Commit or Abort.
var errFinished = errors.New("write is finished")

// writer gathers a blob's content in room that is reserved for it.
type writer struct {
	ctx      context.Context
	store    *Store
	spec     blobstore.Spec
	verifier *encoding.Verifier
	data     []byte
	room     int64
	err      error // what ended the write
}

// Create begins a blob.
func (s *Store) Create(ctx context.Context, spec blobstore.Spec) (blobstore.Writer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if spec.Size < 0 {
		return nil, fmt.Errorf("size of %v is not known", spec.Key)
	}
	if spec.Size > s.maxBytes {
		return nil, fmt.Errorf("%w: %d bytes, the store holds %d", blobstore.ErrTooLarge, spec.Size, s.maxBytes)
	}
	room := min(roomFor(spec), s.maxBytes)
	if err := s.reserve(room); err != nil {
		return nil, err
	}
	return &writer{ctx: ctx, store: s, spec: spec, room: room, verifier: encoding.NewVerifierContext(ctx, spec)}, nil
}

// roomFor returns the most bytes that content of the spec may be stored in.
func roomFor(spec blobstore.Spec) int64 {
	if spec.Encoding == blobstore.Zstd {
		return encoding.MaxCompressed(spec.Size)
	}
	return spec.Size
}

func (w *writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if w.err = w.take(p); w.err != nil {
		return 0, w.err
	}
	return len(p), nil
}

func (w *writer) take(p []byte) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	if _, err := w.verifier.Write(p); err != nil {
		return err
	}
	if int64(len(w.data)+len(p)) > w.room {
		return fmt.Errorf("%w: %v stream of %v is longer than the %d bytes reserved for it", blobstore.ErrNoSpace, w.spec.Encoding, w.spec.Key, w.room)
	}
	if w.data == nil {
		w.data = make([]byte, 0, w.spec.Size)
	}
	w.data = append(w.data, p...)
	return nil
}

func (w *writer) Commit() error {
	if w.err == nil {
		w.err = w.ctx.Err()
	}
	if w.err == nil {
		w.err = w.verifier.Finish()
	}
	err := w.err
	w.end(err == nil)
	return err
}

func (w *writer) Abort() { w.end(false) }

// end gives the room back, in exchange for the blob if it is to be kept.
func (w *writer) end(keep bool) {
	if w.verifier == nil {
		return
	}
	w.verifier.Close()
	w.verifier = nil
	if w.err == nil {
		w.err = errFinished
	}
	w.store.finish(w, keep)
	w.data = nil
}

func (s *Store) finish(w *writer, keep bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reserved -= w.room
	if keep {
		s.add(&blob{key: canonical(w.spec.Key), size: w.spec.Size, encoding: w.spec.Encoding, data: w.data})
	}
}
