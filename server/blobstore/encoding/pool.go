package encoding

import (
	"context"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/semaphore"
)

const (
	// MaxWindow is the largest window in bytes that a zstd frame may ask its
	// decoder to keep. Every level of the zstd program up to 19 stays below it;
	// "--ultra" and "--long" can pass it.
	MaxWindow = 32 << 20
	// MaxDecoders is how many streams are decoded at once. More wait.
	MaxDecoders = 64
	// MaxDecoderMemory is how many bytes the windows of all those streams have
	// together. More wait. The zstd program's usual level has windows of 2 MiB.
	MaxDecoderMemory = 128 << 20
	// MaxEncoders is how many streams are encoded at once. More wait.
	MaxEncoders = 32

	// maxLocalDecoders is how many streams are decoded at once that are in memory
	// already.
	maxLocalDecoders = 4
	// maxHeld is how many bytes of small compressed blobs are kept until they
	// are complete.
	maxHeld = 64 << 20
	// wholeLimit is the size in bytes up to which a blob is decoded or encoded
	// in one piece of memory instead of as a stream.
	wholeLimit = 256 << 10
	// encoderWindow bounds an encoder's memory to about twice as much.
	encoderWindow = 1 << 20
	// chunkSize is how much is read at once from a source to be encoded.
	chunkSize = 64 << 10
)

// pool lends out at most as many values as it has tickets. It keeps the values
// that are given back until the garbage collector wants their memory.
type pool[T any] struct {
	tickets chan struct{}
	idle    sync.Pool
}

func newPool[T any](limit int, create func() T) *pool[T] {
	p := &pool[T]{tickets: make(chan struct{}, limit)}
	p.idle.New = func() any { return create() }
	return p
}

// get waits for a value until the context ends.
func (p *pool[T]) get(ctx context.Context) (T, error) {
	select {
	case p.tickets <- struct{}{}:
		return p.idle.Get().(T), nil
	default:
	}
	select {
	case p.tickets <- struct{}{}:
		return p.idle.Get().(T), nil
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

func (p *pool[T]) put(v T) {
	p.idle.Put(v)
	<-p.tickets
}

// codecs are shared by the whole process, since it is the process's memory
// that they are limited for.
type codecs struct {
	// stream decodes what comes from a client or a store, as slowly as it
	// comes; local decodes what is in memory, so nobody waits long for it.
	stream, local *decoders
	encode        *pool[*zstd.Encoder]
	// decodeAll and encodeAll work on whole blobs and are used concurrently.
	decodeAll *zstd.Decoder
	encodeAll *zstd.Encoder
	// whole has buffers of wholeLimit bytes.
	whole sync.Pool
	// held bounds the bytes that verifiers keep of small blobs.
	held *semaphore.Weighted
}

var shared = sync.OnceValue(func() *codecs {
	cpus := runtime.GOMAXPROCS(0)
	return &codecs{
		stream:    newDecoders(MaxDecoders, MaxDecoderMemory),
		local:     newDecoders(maxLocalDecoders, maxLocalDecoders*MaxWindow),
		encode:    newPool(MaxEncoders, func() *zstd.Encoder { return newEncoder(1) }),
		decodeAll: must(zstd.NewReader(nil, zstd.WithDecoderConcurrency(cpus), zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxWindow(MaxWindow))),
		encodeAll: newEncoder(cpus),
		whole:     sync.Pool{New: func() any { return new([wholeLimit]byte) }},
		held:      semaphore.NewWeighted(maxHeld),
	}
})

func newStreamDecoder() *zstd.Decoder {
	return must(zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1), // no goroutines of its own
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(MaxWindow),
		zstd.WithDecodeBuffersBelow(0)))
}

func newEncoder(concurrency int) *zstd.Encoder {
	return must(zstd.NewWriter(nil,
		zstd.WithEncoderConcurrency(concurrency),
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithWindowSize(encoderWindow),
		zstd.WithLowerEncoderMem(true),
		zstd.WithZeroFrames(true)))
}

// must is for options that are constants: they are right or no test passes.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// putEncoder gives an encoder back without what it was writing to.
func putEncoder(p *pool[*zstd.Encoder], e *zstd.Encoder) {
	e.Reset(nil)
	p.put(e)
}
