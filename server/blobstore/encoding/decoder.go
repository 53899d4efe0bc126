package encoding

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/semaphore"

	"github.com/larder-build/larder/server/blobstore"
)

// decoders lends out stream decoders, of which it bounds the number and the
// memory: a decoder keeps as much of its output as the window of its frame, and
// the frame says how much that is.
type decoders struct {
	tickets *semaphore.Weighted
	memory  *semaphore.Weighted // bytes of windows
	idle    sync.Pool           // of *decoder
	inputs  sync.Pool           // of *bufio.Reader
}

func newDecoders(number, memory int64) *decoders {
	return &decoders{
		tickets: semaphore.NewWeighted(number),
		memory:  semaphore.NewWeighted(memory),
		inputs:  sync.Pool{New: func() any { return bufio.NewReaderSize(nil, blobstore.ReadBlock) }},
	}
}

// decoder decodes one stream. It is given back by close.
type decoder struct {
	from *decoders
	z    *zstd.Decoder
	in   *bufio.Reader
	// frames sees what z reads.
	frames frames
	// ring is the memory that z keeps, from this stream or one before, and that
	// is taken from the pool's.
	ring int64
}

// open returns a decoder of src. It waits for the first bytes of src before it
// takes anything from the pool, then until the context ends for a decoder and
// its memory.
func (p *decoders) open(ctx context.Context, src io.Reader) (*decoder, error) {
	in := p.inputs.Get().(*bufio.Reader)
	in.Reset(src)
	head, _ := in.Peek(maxFrameHeader) // what is wrong with src is told when it is read
	d, err := p.get(ctx, largestWindow(head))
	if err != nil {
		p.putInput(in)
		return nil, err
	}
	d.in = in
	d.frames = frames{onWindow: d.grow}
	if err := d.z.Reset(undecoded{d}); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// get waits for a decoder that may keep window bytes.
func (p *decoders) get(ctx context.Context, window uint64) (*decoder, error) {
	if window > MaxWindow {
		return nil, &windowError{window}
	}
	if err := p.tickets.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	if err := p.memory.Acquire(ctx, int64(window)); err != nil {
		p.tickets.Release(1)
		return nil, err
	}
	d, _ := p.idle.Get().(*decoder)
	if d != nil && d.ring > int64(window) && !p.memory.TryAcquire(d.ring-int64(window)) {
		d = nil // it keeps too much
	}
	if d == nil {
		d = &decoder{from: p, z: newStreamDecoder()}
	}
	d.ring = max(d.ring, int64(window))
	return d, nil
}

// grow makes sure that the decoder may keep window bytes. It does not wait,
// since other decoders that keep much might wait for this one.
func (d *decoder) grow(window uint64) error {
	if window > MaxWindow {
		return &windowError{window}
	}
	more := int64(window) - d.ring
	if more <= 0 {
		return nil
	}
	if !d.from.memory.TryAcquire(more) {
		return fmt.Errorf("%w: no memory left to decode a zstd frame with a window of %d bytes", blobstore.ErrUnavailable, window)
	}
	d.ring = int64(window)
	return nil
}

// close gives the decoder back. It can be called once.
func (d *decoder) close() {
	p := d.from
	p.putInput(d.in)
	d.in = nil
	_ = d.z.Reset(nil)
	ring := d.ring
	p.idle.Put(d)
	p.memory.Release(ring)
	p.tickets.Release(1)
}

func (p *decoders) putInput(in *bufio.Reader) {
	in.Reset(nil)
	p.inputs.Put(in)
}

// undecoded is a decoder's input.
type undecoded struct{ d *decoder }

func (u undecoded) Read(p []byte) (int, error) {
	n, err := u.d.in.Read(p)
	if refusal := u.d.frames.pass(p[:n]); refusal != nil {
		return 0, refusal
	}
	return n, err
}
