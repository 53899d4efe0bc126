package httpcache

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/larder-build/larder/server/blobstore"
)

// body reads a request's body. Every read has the stall timeout to bring
// something, so that a large upload may take as long as it goes on.
type body struct {
	src   io.Reader
	conn  *http.ResponseController
	stall time.Duration
	// limit is the most bytes that may come.
	limit, seen int64
}

func (b *body) Read(p []byte) (int, error) {
	_ = b.conn.SetReadDeadline(time.Now().Add(b.stall)) // some ResponseWriters cannot
	n, err := b.src.Read(p)
	b.seen += int64(n)
	if b.seen > b.limit {
		return 0, fmt.Errorf("%w: body has more than %d bytes", blobstore.ErrTooLarge, b.limit)
	}
	if err == nil {
		return n, nil
	}
	// From here on the server itself watches the connection, without a limit.
	_ = b.conn.SetReadDeadline(time.Time{})
	return n, b.explain(err)
}

func (b *body) explain(err error) error {
	switch {
	case err == io.EOF:
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return refuse(http.StatusRequestTimeout, "body stalled for %v after %d bytes", b.stall, b.seen)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return badRequest("body ended early, after %d bytes", b.seen)
	}
	return badRequest("body cannot be read after %d bytes: %w", b.seen, err)
}

// stalling is a ResponseWriter of which every write has the stall timeout to
// complete.
type stalling struct {
	w     io.Writer
	conn  *http.ResponseController
	stall time.Duration
}

func (s *stalling) Write(p []byte) (int, error) {
	_ = s.conn.SetWriteDeadline(time.Now().Add(s.stall))
	return s.w.Write(p)
}

// done takes the deadline off, for the connection's next request.
func (s *stalling) done() { _ = s.conn.SetWriteDeadline(time.Time{}) }
