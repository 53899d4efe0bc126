package encoding

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/larder-build/larder/server/blobstore"
)

func TestDecodedSize(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("larder "), 100_000)
	frames := AppendCompressed(AppendCompressed(nil, content[:5]), content[5:])
	broken := errors.New("broken pipe")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		name  string
		ctx   context.Context
		r     io.Reader
		limit int64
		want  int64
		err   error
	}{
		{"two frames", t.Context(), bytes.NewReader(frames), 700_000, 700_000, nil},
		{"nothing", t.Context(), bytes.NewReader(AppendCompressed(nil, nil)), 0, 0, nil},
		{"one byte too many", t.Context(), bytes.NewReader(frames), 699_999, 0, blobstore.ErrTooLarge},
		{"not zstd", t.Context(), bytes.NewReader(content), 700_000, 0, blobstore.ErrMismatch},
		{"truncated", t.Context(), bytes.NewReader(frames[:len(frames)-9]), 700_000, 0, blobstore.ErrMismatch},
		{"reader fails", t.Context(), io.MultiReader(bytes.NewReader(frames[:20]), iotest.ErrReader(broken)), 700_000, 0, broken},
		{"context ended", ended, iotest.ErrReader(context.Canceled), 700_000, 0, context.Canceled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := DecodedSize(tt.ctx, tt.r, tt.limit)
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("DecodedSize = %d, %v, want %d, %v", got, err, tt.want, tt.err)
			}
		})
	}
}
