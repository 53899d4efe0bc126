package httpcache

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/encoding"
)

// sizeHeader tells the size of a compressed body's content.
const sizeHeader = "X-Digest-SizeBytes"

// upload is the body of a PUT.
type upload struct {
	encoding blobstore.Encoding
	// size is the content's, uncompressed; digest.SizeUnknown until it is known.
	size int64
	max  int64
	body io.Reader
	// head is what was read of the body, and whole tells that it is all of it.
	buf   *[]byte
	head  []byte
	whole bool
	// ended tells that the body was read to its end.
	ended bool
	// spool has the body, if it was spooled, and tee spools it while it is read
	// for the first time.
	spool *spool
	tee   *tee
}

// receive reads an upload's headers and the begin of its body. The content may
// have at most so many bytes. The upload must be released.
func (h *Handler) receive(w http.ResponseWriter, r *http.Request, most int64) (*upload, error) {
	up := &upload{max: most}
	if err := up.readHeader(r); err != nil {
		return nil, err
	}
	if up.size > up.max {
		return nil, fmt.Errorf("%w: it has %d bytes, the most is %d", blobstore.ErrTooLarge, up.size, up.max)
	}
	limit := int64(math.MaxInt64)
	if up.encoding == blobstore.Identity {
		limit = most
	}
	up.body = &body{src: r.Body, pace: h.newPace(w, r), limit: limit}
	up.buf = h.buffers.get(r.ContentLength)
	n, err := io.ReadFull(up.body, *up.buf)
	up.head, up.whole = (*up.buf)[:n], err == io.EOF || err == io.ErrUnexpectedEOF
	up.ended = up.whole
	if err != nil && !up.whole {
		h.release(up)
		return nil, err
	}
	return up, nil
}

func (h *Handler) release(up *upload) {
	h.buffers.put(up.buf)
	if up.spool != nil {
		up.spool.close()
	}
	if up.tee != nil {
		up.tee.close()
	}
}

// readHeader reads what the headers tell of the body's form and size.
func (up *upload) readHeader(r *http.Request) error {
	up.size = digest.SizeUnknown
	switch name := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding"))); name {
	case "", "identity":
		up.size = r.ContentLength // -1 if there is none
	case "zstd":
		up.encoding = blobstore.Zstd
	default:
		return refuse(http.StatusUnsupportedMediaType, "Content-Encoding %.40q: want zstd, or none", name)
	}
	told := r.Header.Get(sizeHeader)
	if told == "" {
		return nil
	}
	size, err := strconv.ParseInt(told, 10, 64)
	if err != nil || size < 0 {
		return badRequest("%s %.40q is not a size in bytes", sizeHeader, told)
	}
	if up.size >= 0 && up.size != size {
		return badRequest("%s is %d, but the body has %d bytes", sizeHeader, size, up.size)
	}
	up.size = size
	return nil
}

// measure finds out the content's size if the client did not tell it. For
// that it spools a body that is not small.
func (up *upload) measure(ctx context.Context, spools *spools) (err error) {
	if up.size >= 0 {
		return nil
	}
	raw, n := io.Reader(bytes.NewReader(up.head)), int64(len(up.head))
	if !up.whole {
		s, err := spools.open()
		if err != nil {
			return err
		}
		if err := up.copyTo(s); err != nil {
			s.close()
			return err
		}
		up.spool = s
		raw, n = s.reader(), s.size
	}
	if up.encoding == blobstore.Identity {
		up.size = n
		return nil
	}
	up.size, err = encoding.DecodedSize(ctx, raw, up.max)
	return err
}

// copyTo writes the whole body to w. Without rewind it can be done again only
// if the body was small or spooled.
func (up *upload) copyTo(w io.Writer) error {
	if up.spool != nil {
		_, err := io.CopyBuffer(onlyWriter{w}, up.spool.reader(), *up.buf)
		return err
	}
	if up.tee != nil {
		w = io.MultiWriter(w, up.tee)
	}
	for {
		if _, err := w.Write(up.head); err != nil || up.ended {
			return err
		}
		n, err := io.ReadFull(up.body, *up.buf)
		up.head, up.ended = (*up.buf)[:n], err == io.EOF || err == io.ErrUnexpectedEOF
		if err != nil && !up.ended {
			return err
		}
	}
}

// rewind makes a body that was read to its end ready for another copyTo.
func (up *upload) rewind() error {
	if up.whole || up.spool != nil {
		return nil
	}
	if up.tee.err != nil {
		return fmt.Errorf("%w: the upload could not be kept while its digest function is found out: %w", blobstore.ErrUnavailable, up.tee.err)
	}
	up.spool, up.tee = up.tee.spool, nil
	return nil
}

// onlyWriter hides other methods, so that the buffer is used.
type onlyWriter struct{ io.Writer }
