// Package memory is a blob store in memory: the reference that the others are
// measured against, for tests and for servers that need not remember.
package memory

import (
	"container/list"
	"context"
	"fmt"
	"sync"

	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/encoding"
)

// DefaultMaxBytes bounds a store whose options do not: 256 MiB.
const DefaultMaxBytes = 256 << 20

// Options of a Store. The zero value works.
type Options struct {
	// MaxBytes is the most bytes of content, as stored, that the store holds,
	// writes under way included. DefaultMaxBytes if it is 0.
	MaxBytes int64
}

// Store is a blobstore.Store. When it is full it forgets the blobs that were
// not used for the longest time.
type Store struct {
	maxBytes int64

	mu    sync.Mutex
	blobs map[blobstore.Key]*list.Element // of *blob
	// byUse has the blobs, the last used one last.
	byUse *list.List
	// used counts the bytes of all blobs, reserved those of writes under way.
	used, reserved, logical int64
	evicted                 blobstore.Stats // only its Evicted fields
}

// blob is a stored blob. It does not change, so readers share it.
type blob struct {
	// key is canonical.
	key      blobstore.Key
	size     int64
	encoding blobstore.Encoding
	data     []byte
}

var (
	_ blobstore.Store   = (*Store)(nil)
	_ blobstore.Remover = (*Store)(nil)
)

// New returns an empty store.
func New(opts Options) *Store {
	if opts.MaxBytes <= 0 {
		opts.MaxBytes = DefaultMaxBytes
	}
	return &Store{maxBytes: opts.MaxBytes, blobs: make(map[blobstore.Key]*list.Element), byUse: list.New()}
}

// Get opens a blob.
func (s *Store) Get(ctx context.Context, key blobstore.Key) (blobstore.Reader, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.use(key)
	if b == nil {
		return nil, fmt.Errorf("%w: %v", blobstore.ErrNotFound, key)
	}
	return newReader(ctx, b), nil
}

// FindMissing tells which blobs are absent.
func (s *Store) FindMissing(ctx context.Context, keys []blobstore.Key) ([]int, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var missing []int
	for i, key := range keys {
		if s.use(key) == nil {
			missing = append(missing, i)
		}
	}
	return missing, nil
}

// Remove forgets a blob.
func (s *Store) Remove(ctx context.Context, key blobstore.Key) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.find(key) != nil {
		s.drop(s.blobs[canonical(key)])
	}
	return nil
}

// Put writes small blobs.
func (s *Store) Put(ctx context.Context, blobs []blobstore.Blob) []error {
	errs := make([]error, len(blobs))
	for i, b := range blobs {
		errs[i] = s.put(ctx, b)
	}
	return errs
}

func (s *Store) put(ctx context.Context, b blobstore.Blob) error {
	if err := encoding.Verify(b); err != nil {
		return err
	}
	w, err := s.Create(ctx, b.Spec)
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := w.Write(b.Data); err != nil {
		return err
	}
	return w.Commit()
}

// Stats tells what the store holds.
func (s *Store) Stats() blobstore.Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.evicted
	for e := s.byUse.Front(); e != nil; e = e.Next() {
		if e.Value.(*blob).key.Kind == blobstore.AC {
			st.ActionResults++
		} else {
			st.Blobs++
		}
	}
	st.LogicalBytes, st.StoredBytes = s.logical, s.used
	st.MaxBytes, st.ReservedBytes = s.maxBytes, s.reserved
	return st
}

// canonical returns the key under which a blob is kept. It leaves out the size,
// which a reader need not know: content of the right hash has one size only.
func canonical(key blobstore.Key) blobstore.Key {
	key.Digest = key.Digest.WithSize(0)
	return key
}

// find returns the blob of the key, nil if there is none of its size.
func (s *Store) find(key blobstore.Key) *blob {
	e := s.blobs[canonical(key)]
	if e == nil {
		return nil
	}
	b := e.Value.(*blob)
	if size := key.Digest.Size(); key.Kind == blobstore.CAS && size >= 0 && size != b.size {
		return nil
	}
	return b
}

// use is find that counts as a use.
func (s *Store) use(key blobstore.Key) *blob {
	b := s.find(key)
	if b != nil {
		s.byUse.MoveToBack(s.blobs[b.key])
	}
	return b
}

// add keeps a blob for which room is reserved.
func (s *Store) add(b *blob) {
	if old := s.blobs[b.key]; old != nil {
		s.drop(old)
	}
	s.blobs[b.key] = s.byUse.PushBack(b)
	s.used += int64(len(b.data))
	s.logical += b.size
}

func (s *Store) drop(e *list.Element) {
	b := s.byUse.Remove(e).(*blob)
	delete(s.blobs, b.key)
	s.used -= int64(len(b.data))
	s.logical -= b.size
}

// reserve makes room for n more bytes, forgetting what it must.
func (s *Store) reserve(n int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reserved+n > s.maxBytes {
		return fmt.Errorf("%w: %d of %d bytes are taken by other writes, %d more are needed", blobstore.ErrNoSpace, s.reserved, s.maxBytes, n)
	}
	s.reserved += n
	for s.used+s.reserved > s.maxBytes {
		oldest := s.byUse.Front()
		s.evicted.EvictedBlobs++
		s.evicted.EvictedBytes += int64(len(oldest.Value.(*blob).data))
		s.drop(oldest)
	}
	return nil
}
