package httpcache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"syscall"

	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/encoding"
)

const octetStream = "application/octet-stream"

// sizeHeaderKey is sizeHeader as http.Header has it. Values under keys that are
// known to be so are put into the map as they are: finding the form of a key
// takes longer than finding a blob.
const sizeHeaderKey = "X-Digest-Sizebytes"

// The values of headers that are always the same. Nobody writes to them.
var (
	varyEncoding    = []string{"Accept-Encoding"}
	bytesUnit       = []string{"bytes"}
	octetStreamType = []string{octetStream}
)

// representation is what a response carries.
type representation struct {
	content io.Reader
	// length is the body's in bytes, -1 if it is not known beforehand.
	length      int64
	encoding    blobstore.Encoding
	contentType string
	// etag is empty where nothing tells two versions apart.
	etag string
	// part is the Content-Range header of a part, empty for the whole.
	part string
}

func (h *Handler) get(w http.ResponseWriter, r *http.Request, t target) (err error) {
	if t.kind == blobstore.AC && !h.opts.SkipACValidation {
		w.Header().Set("Vary", "Accept, Accept-Encoding")
		err = h.getAction(w, r, t)
	} else {
		w.Header()["Vary"] = varyEncoding
		err = h.getBlob(w, r, t)
	}
	if errors.Is(err, blobstore.ErrNotFound) {
		return fmt.Errorf("%s: %w", r.URL.Path, err)
	}
	return err
}

// getBlob serves a CAS blob, or an opaque action result.
func (h *Handler) getBlob(w http.ResponseWriter, r *http.Request, t target) error {
	e, err := acceptedEncoding(r)
	if err != nil {
		return err
	}
	ranged := t.kind == blobstore.CAS && r.Method == http.MethodGet && r.Header.Get("Range") != "" && acceptsIdentity(r)
	if ranged {
		e = blobstore.Identity
	}
	if t.kind == blobstore.CAS {
		t.digests = h.likely(t.digests)
	}
	key, c, err := h.open(r.Context(), t, e)
	if err != nil {
		return err
	}
	defer func() { c.Close() }()
	p := representation{encoding: e, contentType: octetStream}
	switch {
	case t.kind != blobstore.CAS:
	case e == blobstore.Identity:
		p.etag = etag(key.Digest.Hex(), e)
		w.Header()["Accept-Ranges"] = bytesUnit
	default:
		p.etag = etag(key.Digest.Hex(), e)
		w.Header()[sizeHeaderKey] = []string{strconv.FormatInt(c.Size(), 10)} // which Content-Length does not tell
	}
	if ifRange := r.Header.Get("If-Range"); ranged && (ifRange == "" || ifRange == p.etag) {
		if c, err = h.reopen(w, r, key, c, &p); err != nil {
			return err
		}
	}
	p.content, p.length = c, c.Length()
	return h.respond(w, r, p)
}

// open opens the first of the blobs that the path may name which is there.
func (h *Handler) open(ctx context.Context, t target, e blobstore.Encoding) (key blobstore.Key, c encoding.Content, err error) {
	for _, d := range t.digests {
		key = h.key(t, d)
		c, err = encoding.Open(ctx, h.store, key, encoding.Request{Encoding: e})
		if !errors.Is(err, blobstore.ErrNotFound) {
			break
		}
	}
	return key, c, err
}

// reopen replaces content by the part of it that the request wants, if it
// wants one. It returns content that is to be closed even if it fails.
func (h *Handler) reopen(w http.ResponseWriter, r *http.Request, key blobstore.Key, whole encoding.Content, p *representation) (encoding.Content, error) {
	size := whole.Size()
	part, ok := parseRange(r.Header.Get("Range"), size)
	if !ok {
		return whole, nil
	}
	if part.length == 0 {
		w.Header().Set("Content-Range", "bytes */"+strconv.FormatInt(size, 10))
		return whole, refuse(http.StatusRequestedRangeNotSatisfiable, "range %.100q has no byte of a blob of %d bytes", r.Header.Get("Range"), size)
	}
	whole.Close() // before another is opened: decoders are few
	c, err := encoding.Open(r.Context(), h.store, key, encoding.Request{Offset: part.offset, Limit: part.length})
	if err != nil {
		return whole, err
	}
	p.part = part.contentRange(size)
	return c, nil
}

// etag returns the entity tag of content with that hash.
func etag(hash string, e blobstore.Encoding) string {
	if e == blobstore.Identity {
		return `"` + hash + `"`
	}
	return `"` + hash + "-" + e.String() + `"`
}

// respond sends a representation. An error that it returns has left the
// response unwritten.
func (h *Handler) respond(w http.ResponseWriter, r *http.Request, p representation) error {
	if matches(r.Header.Get("If-None-Match"), p.etag) {
		w.Header().Set("Etag", p.etag)
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	if r.Method == http.MethodHead {
		p.writeHeader(w)
		return nil
	}
	if b := mapped(r, p.content); b != nil {
		p.writeHeader(w)
		h.sendMapped(w, r, b)
		return nil
	}
	buffer := h.buffers.get(p.length)
	defer h.buffers.put(buffer)
	buf := *buffer
	// What the store finds wrong with the first bytes can still be answered.
	n, err := io.ReadFull(p.content, buf)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return err
	}
	p.writeHeader(w)
	if n < smallBufferSize && n < len(buf) {
		_, _ = w.Write(buf[:n]) // what fits a socket's buffer cannot stall
		return nil
	}
	out := &paced{w, h.newPace(w, r)}
	defer out.pace.doneWriting()
	if _, err := out.Write(buf[:n]); err != nil || n < len(buf) {
		return nil // the end, or a client that went away
	}
	h.send(r, out, p.content, buf)
	return nil
}

// send copies the rest of a response's body. Each byte has been checked by the
// store before it comes here.
func (h *Handler) send(r *http.Request, out io.Writer, content io.Reader, buf []byte) {
	for {
		n, err := io.ReadFull(content, buf)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			h.abort(r, err)
		}
		if n > 0 {
			if _, werr := out.Write(buf[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// mapped returns the content as the store has it mapped, if it vouches for it.
// TLS would look at it, and is left out.
func mapped(r *http.Request, content io.Reader) []byte {
	if c, ok := content.(interface{ Mapped() []byte }); ok && r.TLS == nil {
		return c.Mapped()
	}
	return nil
}

// mappedStep is how many mapped bytes are sent with one deadline, and the least:
// what is left goes with the last. It is more than net/http's buffers take, so
// that they go to the connection as they are.
const mappedStep = 1 << 20

// sendMapped sends what the store has mapped. It is not copied here, and was not
// read for this response: that makes it as cheap as memory. (sendfile costs half
// as much again on loopback, where the pages are copied all the same.)
func (h *Handler) sendMapped(w http.ResponseWriter, r *http.Request, b []byte) {
	out := &paced{w, h.newPace(w, r)}
	defer out.pace.doneWriting()
	// The headers go out before, for net/http would copy the begin of the body
	// behind them, which is to look at it.
	if err := out.pace.conn.Flush(); err != nil {
		return
	}
	for len(b) > 0 {
		n := mappedStep
		if len(b) < 2*mappedStep {
			n = len(b)
		}
		step := b[:n]
		b = b[n:]
		if _, err := out.Write(step); err != nil {
			if errors.Is(err, syscall.EFAULT) {
				h.abort(r, fmt.Errorf("%w: %w", blobstore.ErrCorrupt, err))
			}
			return // a client that went away
		}
	}
}

func (p *representation) writeHeader(w http.ResponseWriter) {
	hd := w.Header()
	if hd["Content-Type"] = octetStreamType; p.contentType != octetStream {
		hd["Content-Type"] = []string{p.contentType}
	}
	if p.length >= 0 {
		hd["Content-Length"] = []string{strconv.FormatInt(p.length, 10)}
	}
	if p.encoding != blobstore.Identity {
		hd.Set("Content-Encoding", p.encoding.String())
	}
	if p.etag != "" {
		hd["Etag"] = []string{p.etag}
	}
	if p.part == "" {
		w.WriteHeader(http.StatusOK)
		return
	}
	hd.Set("Content-Range", p.part)
	w.WriteHeader(http.StatusPartialContent)
}
