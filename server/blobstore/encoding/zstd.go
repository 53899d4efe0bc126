package encoding

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// errTooLong is why decoding stopped: there is more than there should be.
var errTooLong = errors.New("content is longer than its size")

// MaxCompressed returns the most bytes that a zstd stream of n bytes of content
// has if it is written in the usual way: one frame or a few, of which nothing
// compresses. A valid stream may be longer (skippable frames, a frame a byte);
// it is up to a store to refuse that.
func MaxCompressed(n int64) int64 { return n + n>>8 + 64 }

// maxDecompressed returns the most bytes that n bytes of zstd can decode to: a
// block has four bytes at least and 128 KiB of content at most.
func maxDecompressed(n int) int64 { return (int64(n)/4 + 1) * (128 << 10) }

// decodeWhole decodes all of src into dst, which is empty and whose capacity is
// never passed: errTooLong says that there would be more.
func decodeWhole(dst, src []byte) ([]byte, error) {
	out, err := shared().decodeAll.DecodeAll(src, dst)
	switch {
	case err == nil && len(out) <= cap(dst):
		return out, nil
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		return nil, &windowError{largestWindow(src)}
	case err == nil, errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return nil, errTooLong
	}
	return nil, err
}

// decodeTo decodes the stream src into sink with a decoder of the pool. An
// error of src or of sink is returned as it is.
func decodeTo(ctx context.Context, p *decoders, sink io.Writer, src io.Reader) error {
	d, err := p.open(ctx, src)
	if err != nil {
		return err
	}
	defer d.close()
	_, err = d.z.WriteTo(sink)
	return err
}

// reason says in the words of an error message why a stream does not decode.
func reason(err error) string {
	var window *windowError
	switch {
	case errors.As(err, &window):
		return window.Error()
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "zstd stream is truncated"
	case errors.Is(err, zstd.ErrMagicMismatch):
		return "zstd stream has bytes that are no frame"
	case errors.Is(err, zstd.ErrUnknownDictionary):
		return "zstd frame needs a dictionary"
	}
	return fmt.Sprintf("zstd stream does not decode: %v", err)
}
