package httpcache

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/larder-build/larder/server/blobstore"
)

// body reads a request's body.
type body struct {
	src  io.Reader
	pace pace
	// limit is the most bytes that may come.
	limit, seen int64
}

func (b *body) Read(p []byte) (int, error) {
	b.pace.reading()
	n, err := b.src.Read(p)
	b.seen += int64(n)
	if b.seen > b.limit {
		return 0, fmt.Errorf("%w: body has more than %d bytes", blobstore.ErrTooLarge, b.limit)
	}
	if err == nil {
		return n, nil
	}
	// From here on the server itself watches the connection, for a client that
	// goes away, and must not take a deadline for that.
	b.pace.doneReading()
	return n, b.explain(err)
}

func (b *body) explain(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return refuse(http.StatusRequestTimeout, "body came too slowly: %d bytes, and no more in time", b.seen)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return badRequest("body ended early, after %d bytes", b.seen)
	}
	return badRequest("body cannot be read after %d bytes: %w", b.seen, err)
}
