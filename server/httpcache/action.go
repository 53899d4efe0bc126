package httpcache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/internal/merkle"
	"github.com/larder-build/larder/server/actioncache"
	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/encoding"
)

const (
	jsonType = "application/json"
	// maxActionBody is the size in bytes of the largest action result taken,
	// uncompressed and with what is inlined in it.
	maxActionBody = 4 * actioncache.MaxResultBytes
	// minCompressed is the size in bytes below which an action result is not
	// worth compressing.
	minCompressed = 1 << 10
)

func (h *Handler) getAction(w http.ResponseWriter, r *http.Request, t target) error {
	e, err := acceptedEncoding(r)
	if err != nil {
		return err
	}
	result, err := h.loadAction(r.Context(), t)
	if err != nil {
		return err
	}
	p := representation{contentType: octetStream}
	if acceptsJSON(r) {
		if result, err = toJSON(result); err != nil {
			return err
		}
		p.contentType = jsonType
	}
	hash := digest.Of(digest.SHA256, result).Hex()
	if e == blobstore.Zstd && (len(result) >= minCompressed || !acceptsIdentity(r)) {
		result, p.encoding = encoding.AppendCompressed(nil, result), e
	}
	p.etag = etag(hash, p.encoding)
	p.content, p.length = bytes.NewReader(result), int64(len(result))
	return h.respond(w, r, p)
}

// loadAction returns the action result that the path names.
func (h *Handler) loadAction(ctx context.Context, t target) (result []byte, err error) {
	ds, err := h.storedActions(ctx, t)
	if err != nil {
		return nil, err
	}
	for _, d := range ds {
		result, err = h.actions.Get(ctx, actioncache.Request{Instance: t.instance, Action: d})
		if !errors.Is(err, blobstore.ErrNotFound) {
			break
		}
	}
	return result, err
}

// storedActions returns those digests that the path may name under which there
// is a result, or one if there is none.
func (h *Handler) storedActions(ctx context.Context, t target) ([]digest.Digest, error) {
	if len(t.digests) == 1 {
		return t.digests, nil
	}
	keys := make([]blobstore.Key, len(t.digests))
	for i, d := range t.digests {
		keys[i] = h.key(t, d)
	}
	missing, err := h.store.FindMissing(ctx, keys)
	if err != nil || len(missing) == len(keys) {
		return t.digests[:1], err
	}
	found := t.digests[:0:0]
	for i, d := range t.digests {
		if len(missing) > 0 && missing[0] == i {
			missing = missing[1:]
			continue
		}
		found = append(found, d)
	}
	return found, nil
}

func (h *Handler) putAction(w http.ResponseWriter, r *http.Request, t target) error {
	result, err := h.receiveAction(w, r)
	if err != nil {
		return err
	}
	d, err := h.actionDigest(r.Context(), t, result)
	if err != nil {
		return err
	}
	if _, err := h.actions.Update(r.Context(), t.instance, d, result); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// receiveAction reads a body that is an action result, and returns it
// serialized.
func (h *Handler) receiveAction(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	up, err := h.receive(w, r, maxActionBody)
	if err != nil {
		return nil, err
	}
	defer h.release(up)
	var data bytes.Buffer
	if err := up.copyTo(&limited{&data, up.max}); err != nil {
		return nil, err
	}
	body := data.Bytes()
	if up.encoding == blobstore.Zstd {
		if body, err = decompress(r.Context(), body, up.max); err != nil {
			return nil, err
		}
	}
	if told := up.size; told >= 0 && told != int64(len(body)) {
		return nil, badRequest("%s is %d, but the action result has %d bytes", sizeHeader, told, len(body))
	}
	if contentType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); contentType != jsonType {
		return body, nil
	}
	return fromJSON(body)
}

func decompress(ctx context.Context, data []byte, limit int64) ([]byte, error) {
	size, err := encoding.DecodedSize(ctx, bytes.NewReader(data), limit)
	if err != nil {
		return nil, err
	}
	return encoding.AppendDecompressed(nil, data, size)
}

// limited is a writer that fails past its limit.
type limited struct {
	w     io.Writer
	limit int64
}

func (l *limited) Write(p []byte) (int, error) {
	if l.limit -= int64(len(p)); l.limit < 0 {
		return 0, fmt.Errorf("%w: the most for an action result is %d bytes", blobstore.ErrTooLarge, maxActionBody)
	}
	return l.w.Write(p)
}

// actionDigest returns the digest of the action whose result is uploaded. When
// the path leaves the digest function open, it is the one under which the
// action itself was uploaded, as Bazel does first; else, of the result, what
// it refers to.
func (h *Handler) actionDigest(ctx context.Context, t target, result []byte) (digest.Digest, error) {
	if len(t.digests) == 1 {
		return t.digests[0], nil
	}
	for _, d := range t.digests {
		ok, err := h.has(ctx, t.instance, d)
		if ok || err != nil {
			return d, err
		}
	}
	for _, d := range t.digests {
		var a merkle.ActionResult
		if a.Parse(d.Function(), result) != nil {
			continue // Update says why
		}
		ok, err := h.has(ctx, t.instance, reference(&a))
		if ok || err != nil {
			return d, err
		}
	}
	return t.digests[0], nil
}

// reference returns the digest of a blob that an action result refers to,
// other than the empty blob; the zero Digest if there is none.
func reference(a *merkle.ActionResult) (d digest.Digest) {
	ds := []digest.Digest{a.Stdout.Digest, a.Stderr.Digest}
	for _, f := range a.Files {
		ds = append(ds, f.Digest)
	}
	for _, o := range a.Directories {
		ds = append(ds, o.Tree, o.Root)
	}
	for _, d := range ds {
		if d.Valid() && d.Size() > 0 {
			return d
		}
	}
	return d
}

// has reports whether the CAS has a blob, whose size may be unknown.
func (h *Handler) has(ctx context.Context, instance string, d digest.Digest) (bool, error) {
	if !d.Valid() {
		return false, nil
	}
	r, err := h.store.Get(ctx, h.opts.Namespace.CAS(instance, d))
	switch {
	case err == nil:
		return true, r.Close()
	case errors.Is(err, blobstore.ErrNotFound), errors.Is(err, blobstore.ErrCorrupt):
		return false, nil
	}
	return false, err
}

func toJSON(result []byte) ([]byte, error) {
	var m repb.ActionResult
	if err := proto.Unmarshal(result, &m); err != nil {
		return nil, fmt.Errorf("stored action result: %w", err)
	}
	return protojson.Marshal(&m)
}

func fromJSON(text []byte) ([]byte, error) {
	var m repb.ActionResult
	if err := protojson.Unmarshal(text, &m); err != nil {
		return nil, badRequest("action result as JSON: %w", err)
	}
	return proto.Marshal(&m)
}
