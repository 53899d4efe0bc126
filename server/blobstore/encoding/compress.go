package encoding

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"
)

// AppendCompressed appends src as one zstd frame, also if src is empty.
func AppendCompressed(dst, src []byte) []byte {
	return shared().encodeAll.EncodeAll(src, dst)
}

// NewCompressor returns a writer that writes one zstd frame to w. It waits for
// an encoder if MaxEncoders are at work. The caller must Close it, which ends
// the frame and does not close w.
func NewCompressor(w io.Writer) io.WriteCloser {
	e, _ := shared().encode.get(context.Background())
	e.Reset(w)
	return &compressor{encoder: e}
}

type compressor struct{ encoder *zstd.Encoder }

func (c *compressor) Write(p []byte) (int, error) {
	if c.encoder == nil {
		return 0, io.ErrClosedPipe
	}
	return c.encoder.Write(p)
}

func (c *compressor) Close() error {
	if c.encoder == nil {
		return nil
	}
	err := c.encoder.Close()
	putEncoder(shared().encode, c.encoder)
	c.encoder = nil
	return err
}

// compressed is content that is encoded while it is read.
type compressed struct {
	raw     Content
	encoder *zstd.Encoder // nil when closed
	chunk   []byte
	out     bytes.Buffer // at most what a few blocks encode to
	err     error        // of what comes after out
}

// compress returns raw as zstd. It closes raw if it fails.
func compress(ctx context.Context, raw Content) (Content, error) {
	if raw.Length() <= wholeLimit {
		return compressWhole(raw)
	}
	e, err := shared().encode.get(ctx)
	if err != nil {
		raw.Close()
		return nil, err
	}
	c := &compressed{raw: raw, encoder: e, chunk: make([]byte, chunkSize)}
	e.ResetContentSize(&c.out, raw.Length())
	return c, nil
}

// compressWhole encodes a small part at once.
func compressWhole(raw Content) (Content, error) {
	defer raw.Close()
	buf := shared().whole.Get().(*[wholeLimit]byte)
	defer shared().whole.Put(buf)
	p := buf[:raw.Length()]
	if _, err := io.ReadFull(raw, p); err != nil {
		return nil, err
	}
	if _, err := raw.Read(buf[:0]); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return wholeContent(raw.Size(), p, 1), nil
}

func (c *compressed) Read(p []byte) (int, error) {
	for c.out.Len() == 0 {
		if c.err != nil {
			return 0, c.err
		}
		c.err = c.encodeNext()
	}
	return c.out.Read(p)
}

// encodeNext encodes a chunk of the source; io.EOF says that it was the last.
func (c *compressed) encodeNext() error {
	if c.encoder == nil {
		return io.ErrClosedPipe
	}
	n, err := c.raw.Read(c.chunk)
	if _, werr := c.encoder.Write(c.chunk[:n]); werr != nil {
		return werr
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	if err := c.encoder.Close(); err != nil {
		return err
	}
	return io.EOF
}

func (c *compressed) Close() error {
	if c.encoder != nil {
		putEncoder(shared().encode, c.encoder)
		c.encoder = nil
	}
	return c.raw.Close()
}

func (c *compressed) Size() int64   { return c.raw.Size() }
func (c *compressed) Length() int64 { return -1 }
