package encoding

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/larder-build/larder/server/blobstore"
)

func mustOpen(t *testing.T, p *decoders, data []byte) *decoder {
	t.Helper()
	d, err := p.open(t.Context(), bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// waiting calls open in a goroutine and returns what it returns, once cancel
// was called or it succeeds.
func waiting(p *decoders, data []byte) (result chan error, cancel func()) {
	ctx, cancel := context.WithCancel(context.Background())
	result = make(chan error, 1)
	go func() {
		d, err := p.open(ctx, bytes.NewReader(data))
		if err == nil {
			d.close()
		}
		result <- err
	}()
	return result, cancel
}

func TestDecodersAreLimited(t *testing.T) {
	t.Parallel()
	data := hello(0x50) // a window of 1 MiB
	for name, p := range map[string]*decoders{
		"number": newDecoders(2, 1<<30),
		"memory": newDecoders(100, 2<<20),
	} {
		a, b := mustOpen(t, p, data), mustOpen(t, p, data)
		result, cancel := waiting(p, data)
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: a third decoder: %v, want the context's error", name, err)
		}
		result, cancel = waiting(p, data)
		a.close()
		if err := <-result; err != nil {
			t.Errorf("%s: a third decoder when the first is done: %v", name, err)
		}
		cancel()
		b.close()
		if !p.tickets.TryAcquire(2) || !p.memory.TryAcquire(2<<20) {
			t.Errorf("%s: not all was given back", name)
		}
	}
}

func TestDecoderGrows(t *testing.T) {
	t.Parallel()
	content := text(200_000)
	data := join(hello(0x50), encode(content, zstd.WithWindowSize(4<<20)))
	for memory, want := range map[int64]error{5 << 20: nil, 3 << 20: blobstore.ErrUnavailable} {
		p := newDecoders(1, memory)
		for range 3 { // also with a decoder that was used before
			var out bytes.Buffer
			err := decodeTo(t.Context(), p, &out, bytes.NewReader(data))
			if !errors.Is(err, want) {
				t.Errorf("%d bytes of memory: error %v, want %v", memory, err, want)
			}
			if err == nil && !bytes.Equal(out.Bytes(), append([]byte("hello"), content...)) {
				t.Errorf("%d bytes of memory: wrong content", memory)
			}
			if !p.memory.TryAcquire(memory) {
				t.Fatalf("%d bytes of memory: not all was given back", memory)
			}
			p.memory.Release(memory)
		}
	}
}

// A decoder that keeps more than there is memory for is not used again.
func TestDecoderIsDropped(t *testing.T) {
	t.Parallel()
	p := newDecoders(2, 3<<20)
	large := mustOpen(t, p, hello(0x58)) // 2 MiB
	if _, err := io.ReadAll(large.z); err != nil {
		t.Fatal(err)
	}
	large.close()
	small := mustOpen(t, p, hello(0x48)) // 512 KiB
	defer small.close()
	other := mustOpen(t, p, hello(0x50)) // 1 MiB
	defer other.close()
	if small.ring+other.ring > 3<<20 {
		t.Errorf("decoders keep %d and %d bytes of 3 MiB", small.ring, other.ring)
	}
}

// Decoding waits for the client before it takes a decoder from others.
func TestDecoderTakenLate(t *testing.T) {
	t.Parallel()
	p := newDecoders(1, 1<<30)
	r, w := io.Pipe()
	done := make(chan error)
	go func() { done <- decodeTo(context.Background(), p, io.Discard, r) }()
	if _, err := w.Write(hello(0x50)[:10]); err != nil {
		t.Fatal(err)
	}
	d := mustOpen(t, p, hello(0x50)) // would wait for ever
	d.close()
	if _, err := w.Write(hello(0x50)[10:]); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestPool(t *testing.T) {
	t.Parallel()
	p := newPool(1, func() int { return 7 })
	v, err := p.get(t.Context())
	if err != nil || v != 7 {
		t.Fatal(v, err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("client is gone")
	cancel(gone)
	if _, err := p.get(ctx); !errors.Is(err, gone) {
		t.Errorf("error %v, want that of the context", err)
	}
	p.put(v)
	if _, err := p.get(t.Context()); err != nil {
		t.Error(err)
	}
}

// A held blob that there is no room to hold is decoded as it comes.
func TestVerifierWithoutRoomToHold(t *testing.T) {
	held := shared().held
	if !held.TryAcquire(maxHeld) {
		t.Fatal("room is taken")
	}
	content := text(5000)
	spec := specOf(content, blobstore.Zstd)
	release := sync.OnceFunc(func() { held.Release(maxHeld) })
	defer release()
	if err := verifyIn(spec, AppendCompressed(nil, content), 100); err != nil {
		t.Error(err)
	}
	if err := verifyIn(spec, AppendCompressed(nil, noise(5000)), 100); !errors.Is(err, blobstore.ErrMismatch) {
		t.Errorf("other content: %v", err)
	}
	release()
	// Each gives its room back, however it ends.
	good, tooMuch := AppendCompressed(nil, content), noise(10_000)
	for _, data := range [][]byte{nil, good[:10], good, tooMuch} {
		_ = verifyIn(spec, data, 100)
		v := NewVerifier(spec)
		_, _ = v.Write(data)
		v.Close()
		if !held.TryAcquire(maxHeld) {
			t.Fatalf("room is still taken after %d bytes", len(data))
		}
		held.Release(maxHeld)
	}
}
