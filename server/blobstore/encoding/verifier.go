package encoding

import (
	"context"
	"errors"
	"io"

	"github.com/larder-build/larder/server/blobstore"
)

// errVerifierClosed answers a use after Close.
var errVerifierClosed = errors.New("verifier is closed")

// Verifier checks a blob's content while it is written: its size, that it
// decodes if it is compressed and, in the CAS, its hash (rules 2 and 4). Of an
// action result only size and decoding are checked. It is used by one
// goroutine at a time.
type Verifier struct {
	ctx   context.Context
	check check
	// held is the compressed content so far of a small blob, which is decoded
	// in one piece at the end.
	held []byte
	// room is what is reserved for it.
	room int64
	// stream decodes a larger one as it comes.
	stream *stream
	// err is what ended the verification.
	err error
}

// NewVerifier returns a verifier of what is going to be written. The caller
// must Close it.
func NewVerifier(spec blobstore.Spec) *Verifier {
	return NewVerifierContext(context.Background(), spec)
}

// NewVerifierContext is NewVerifier with a context that bounds the waiting for
// a decoder: of large compressed blobs only MaxDecoders are verified at once.
func NewVerifierContext(ctx context.Context, spec blobstore.Spec) *Verifier {
	v := &Verifier{ctx: ctx}
	v.check, v.err = newCheck(spec)
	return v
}

// Write takes the next bytes of the content in the form of the spec's
// encoding; it does not keep p. It fails as early as the content is known to be
// wrong, with a *blobstore.MismatchError, and from then on always.
func (v *Verifier) Write(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	var n int
	if v.check.spec.Encoding == blobstore.Identity {
		n, v.err = v.check.Write(p)
	} else {
		n, v.err = v.writeZstd(p)
	}
	return n, v.err
}

func (v *Verifier) writeZstd(p []byte) (int, error) {
	if v.stream == nil {
		if v.hold(p) {
			return len(p), nil
		}
		v.stream = newStream(v.ctx, &v.check)
		if _, err := v.stream.Write(v.held); err != nil {
			return 0, err
		}
		v.release()
	}
	return v.stream.Write(p)
}

// hold keeps p for the end if the blob is small and its stream not longer than
// a stream of such a blob usually is.
func (v *Verifier) hold(p []byte) bool {
	size := v.check.spec.Size
	if size > wholeLimit || int64(len(v.held)+len(p)) > MaxCompressed(size) {
		return false
	}
	if v.room == 0 {
		if !shared().held.TryAcquire(MaxCompressed(size)) {
			return false
		}
		v.room = MaxCompressed(size)
	}
	v.held = append(v.held, p...)
	return true
}

// release forgets what was held.
func (v *Verifier) release() {
	v.held = nil
	shared().held.Release(v.room)
	v.room = 0
}

// Finish says whether what was written is the blob: nil, or a
// *blobstore.MismatchError that tells what differs. It is called once, and
// nothing can be written afterwards.
func (v *Verifier) Finish() error {
	if v.err != nil {
		return v.err
	}
	v.err = errVerifierClosed
	return v.judge()
}

func (v *Verifier) judge() error {
	switch {
	case v.stream != nil:
		if err := v.stream.finish(); err != nil {
			return err
		}
		return v.check.finish()
	case v.check.spec.Encoding == blobstore.Zstd && v.check.spec.Size <= wholeLimit:
		return verifyWhole(v.check.spec, v.held)
	}
	return v.check.finish()
}

// Close ends a verification and frees what it holds. It may be called twice,
// and after Finish.
func (v *Verifier) Close() {
	if v.stream != nil {
		v.stream.close()
	}
	v.release()
	v.check.close()
	if v.err == nil {
		v.err = errVerifierClosed
	}
}

// stream decodes what is written to it, in a goroutine of its own, into a
// check.
type stream struct {
	pipe   *io.PipeWriter
	cancel context.CancelFunc
	done   chan struct{}
	err    error // of the decoding; read it when done is closed
}

func newStream(ctx context.Context, c *check) *stream {
	ctx, cancel := context.WithCancel(ctx)
	r, w := io.Pipe()
	s := &stream{pipe: w, cancel: cancel, done: make(chan struct{})}
	// A writer that waits for a decoder is let go when the context ends.
	stop := context.AfterFunc(ctx, func() { r.CloseWithError(context.Cause(ctx)) })
	go func() {
		defer close(s.done)
		defer stop()
		s.err = s.decode(ctx, c, r)
		if s.err != nil {
			r.CloseWithError(s.err)
		}
	}()
	return s
}

func (s *stream) decode(ctx context.Context, c *check, r io.Reader) error {
	err := decodeTo(ctx, shared().stream, c, r)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx) // not that the pipe was closed because of it
	}
	return asMismatch(c.spec.Key, err)
}

func (s *stream) Write(p []byte) (int, error) { return s.pipe.Write(p) }

// finish tells the decoder that this was all and returns what it found.
func (s *stream) finish() error {
	s.pipe.Close()
	<-s.done
	s.cancel()
	return s.err
}

func (s *stream) close() {
	s.cancel()
	s.pipe.CloseWithError(errVerifierClosed)
	<-s.done
}
