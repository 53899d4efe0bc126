package reapi

import (
	"container/list"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/larder-build/larder/server/blobstore"
)

// uploadKey names an upload: clients may use one upload id for many blobs.
type uploadKey struct {
	id       string
	instance string
	blob     blobstore.Key
}

// upload is a blob on its way into the store, which may outlive the stream
// that brings it (rule 17). Only identity uploads do: a resumed compressed
// upload goes on at an offset of the uncompressed blob with a new zstd frame
// (rule 10), which cannot follow a frame that broke off.
type upload struct {
	key  uploadKey
	size int64
	// cancel ends the context of the writer.
	cancel context.CancelFunc

	// owner is the stream that may write, nil while parked. It changes only
	// under uploads.mu. A stream that finds another in its place has to stop.
	owner atomic.Pointer[writeCall]

	// Guarded by uploads.mu:
	parked   *list.Element // in uploads.parked, nil while a stream owns it
	parkedAt time.Time

	mu  sync.Mutex // held while writing
	w   blobstore.Writer
	off int64 // bytes written
}

// uploads are the resumable uploads under way and those that wait for their
// client to come back. The latter are bounded by number, bytes and time.
type uploads struct {
	maxCount int
	maxBytes int64
	ttl      time.Duration
	metrics  *metrics

	mu     sync.Mutex
	byKey  map[uploadKey]*upload
	parked *list.List // of *upload, the longest parked first
	bytes  int64      // that the parked uploads have reserved
	expiry *time.Timer
	closed bool
}

func newUploads(maxCount int, maxBytes int64, ttl time.Duration, m *metrics) *uploads {
	return &uploads{
		maxCount: max(maxCount, 0), maxBytes: maxBytes, ttl: ttl, metrics: m,
		byKey: make(map[uploadKey]*upload), parked: list.New(),
	}
}

// begin registers a new upload that c owns. One of the same key from before is
// forgotten: if it is parked it is dropped, if a stream still brings it, it
// goes on but cannot be resumed.
func (t *uploads) begin(u *upload, c *writeCall) {
	u.owner.Store(c)
	t.mu.Lock()
	old := t.byKey[u.key]
	t.byKey[u.key] = u
	wasParked := old != nil && t.unpark(old)
	t.mu.Unlock()
	if wasParked {
		t.drop(old)
	}
}

// claim makes c the owner of an upload that a client resumes, nil if there is
// none. The stream that brought it until now, which may be dead without
// knowing it, cannot write any more.
func (t *uploads) claim(key uploadKey, c *writeCall) *upload {
	t.mu.Lock()
	defer t.mu.Unlock()
	u := t.byKey[key]
	if u == nil {
		return nil
	}
	t.unpark(u)
	u.owner.Store(c)
	return u
}

// end takes the upload out of the register, before it is committed or
// aborted, and tells whether c still owned it.
func (t *uploads) end(u *upload, c *writeCall) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if u.owner.Load() != c {
		return false
	}
	if t.byKey[u.key] == u {
		delete(t.byKey, u.key)
	}
	return true
}

// park keeps an upload whose stream ended for later, if c still owns it and
// nothing took its place.
func (t *uploads) park(u *upload, c *writeCall) {
	t.mu.Lock()
	if u.owner.Load() != c {
		t.mu.Unlock()
		return
	}
	u.owner.Store(nil)
	gone := []*upload{u}
	if t.byKey[u.key] == u {
		gone = t.keep(u)
	}
	t.mu.Unlock()
	for _, old := range gone {
		t.drop(old)
	}
}

// keep adds u to the parked uploads and returns those that have to go for it.
func (t *uploads) keep(u *upload) (gone []*upload) {
	u.parkedAt = time.Now()
	u.parked = t.parked.PushBack(u)
	t.bytes += u.size
	for t.parked.Len() > t.maxCount || t.bytes > t.maxBytes || t.closed && t.parked.Len() > 0 {
		gone = append(gone, t.forgetOldest())
	}
	t.arm()
	t.count()
	return gone
}

// forgetOldest takes the longest parked upload out of the register.
func (t *uploads) forgetOldest() *upload {
	u := t.parked.Front().Value.(*upload)
	t.unpark(u)
	delete(t.byKey, u.key)
	return u
}

// unpark takes u from the parked uploads, and tells whether it was there.
func (t *uploads) unpark(u *upload) bool {
	if u.parked == nil {
		return false
	}
	t.parked.Remove(u.parked)
	u.parked = nil
	t.bytes -= u.size
	t.count()
	return true
}

func (t *uploads) count() {
	t.metrics.partials.Set(float64(t.parked.Len()))
	t.metrics.partialBytes.Set(float64(t.bytes))
}

// arm sets the timer for the upload that expires first.
func (t *uploads) arm() {
	if t.parked.Len() == 0 || t.closed {
		return
	}
	wait := time.Until(t.parked.Front().Value.(*upload).parkedAt.Add(t.ttl))
	if t.expiry == nil {
		t.expiry = time.AfterFunc(wait, t.expire)
		return
	}
	t.expiry.Reset(wait)
}

// expire drops the uploads that have been parked for too long.
func (t *uploads) expire() {
	var gone []*upload
	t.mu.Lock()
	for t.parked.Len() > 0 && time.Since(t.parked.Front().Value.(*upload).parkedAt) >= t.ttl {
		gone = append(gone, t.forgetOldest())
	}
	t.arm()
	t.mu.Unlock()
	for _, u := range gone {
		t.drop(u)
	}
}

// drop discards an upload that nobody owns or can find any more.
func (t *uploads) drop(u *upload) {
	t.metrics.dropped.Inc()
	u.abort()
}

// giveUp drops the upload that has been parked longest, for the room that it
// holds, and answers false if none is parked.
func (t *uploads) giveUp() bool {
	t.mu.Lock()
	if t.parked.Len() == 0 {
		t.mu.Unlock()
		return false
	}
	u := t.forgetOldest()
	t.mu.Unlock()
	t.drop(u)
	return true
}

// close drops all parked uploads; what is parked later is dropped at once.
func (t *uploads) close() {
	var gone []*upload
	t.mu.Lock()
	t.closed = true
	for t.parked.Len() > 0 {
		gone = append(gone, t.forgetOldest())
	}
	if t.expiry != nil {
		t.expiry.Stop()
	}
	t.mu.Unlock()
	for _, u := range gone {
		t.drop(u)
	}
}

// committed returns how many bytes of the upload have been written, 0 if it is
// not known.
func (t *uploads) committed(key uploadKey) int64 {
	t.mu.Lock()
	u := t.byKey[key]
	t.mu.Unlock()
	if u == nil {
		return 0
	}
	return u.offset()
}

// offset returns how many bytes have been written.
func (u *upload) offset() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.off
}

// write appends data on behalf of c, and fails with errTakenOver if c does not
// own the upload any more.
func (u *upload) write(c *writeCall, data []byte) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.owner.Load() != c {
		return errTakenOver
	}
	n, err := u.w.Write(data)
	u.off += int64(n)
	return err
}

// commit makes the blob visible.
func (u *upload) commit() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	defer u.cancel()
	return u.w.Commit()
}

// abort discards what was written.
func (u *upload) abort() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.w.Abort()
	u.cancel()
}
