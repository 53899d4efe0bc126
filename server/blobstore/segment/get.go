package segment

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/larder-build/larder/server/blobstore"
)

// lookupTries bounds how often a record is looked for again that was moved
// between its look-up and the opening of its segment.
const lookupTries = 16

// Get opens a blob. A small one is read and checked here, a large one while it
// is read.
func (s *Store) Get(ctx context.Context, key blobstore.Key) (blobstore.Reader, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	tag, want, minute := s.ident.key.tag(&key), wantedSize(&key), s.minute()
	for range lookupTries {
		sl, ok := s.index.touch(tag, want, minute)
		if !ok {
			return nil, blobstore.ErrNotFound
		}
		r, err := s.openAt(ctx, &key, sl, minute)
		if !errors.Is(err, errGone) {
			return r, err
		}
	}
	return nil, fmt.Errorf("%w: %v moves too often", blobstore.ErrUnavailable, key)
}

// wantedSize is the logical size the blob must have, or negative if any will
// do.
func wantedSize(key *blobstore.Key) int64 {
	if key.Kind != blobstore.CAS {
		return -1
	}
	return key.Digest.Size()
}

// openAt opens the blob that the index says is there. errGone says that it is
// somewhere else by now, or nowhere.
func (s *Store) openAt(ctx context.Context, key *blobstore.Key, sl slot, minute uint32) (blobstore.Reader, error) {
	seg := s.segs.get(sl.loc.segment())
	if seg == nil {
		return nil, errGone
	}
	switch err := seg.acquire(s.fds); {
	case errors.Is(err, errGone):
		return nil, errGone
	case err != nil:
		return nil, fmt.Errorf("%w: %w", blobstore.ErrUnavailable, err)
	}
	r := &reader{s: s, ctx: ctx, seg: seg, key: *key, slot: sl}
	if err := r.open(minute); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// open reads the header, and with it all of a small record.
func (r *reader) open(minute uint32) error {
	head := keyHeaderLen(&r.key)
	want := head
	if size := r.slot.size(); size <= blobstore.ReadBlock {
		want = recordLen(head, size)
	}
	r.buf = r.s.buffers.get(int(want))
	b := r.buf.b[:want]
	n, err := r.seg.readSmall(b, r.slot.loc.offset(), minute)
	if err != nil && err != io.EOF {
		return r.failed(err)
	}
	h, err := parseHeader(b[:n], r.seg.mac, r.slot.loc.offset())
	if err != nil {
		// The header of another key can be longer than this key's.
		return r.otherOrCorrupt(err)
	}
	if !h.matches(&r.key) {
		return r.collided()
	}
	r.data = r.slot.loc.offset() + head
	r.stored, r.size, r.encoding = h.stored, h.logical, blobstore.Encoding(h.encoding)
	r.watch(minute)
	return r.holdWhole(b[head:n])
}

// holdWhole keeps a small blob's data, which came with its header, as the one
// block there is. b is what was read past the header.
func (r *reader) holdWhole(b []byte) error {
	if r.stored > blobstore.ReadBlock || int64(len(b)) < r.stored+crcSize*blocksOf(r.stored) {
		r.s.buffers.put(r.buf)
		r.buf = nil
		return nil
	}
	if !crcMatches(b[:r.stored], b[r.stored:]) {
		return r.corrupt("data does not match its checksum")
	}
	r.block, r.blockAt = b[:r.stored], 0
	return nil
}

// otherOrCorrupt looks again at a header that is wrong as one of this key.
func (r *reader) otherOrCorrupt(err error) error {
	h, ok := r.s.headerAt(r.slot.loc)
	if ok && !h.matches(&r.key) {
		return r.collided()
	}
	return r.corrupt(err.Error())
}

// collided answers that the record is of another key with the same tag. That
// one is forgotten: else this one would be taken for present and could not be
// written.
func (r *reader) collided() error {
	r.s.forget(r.slot)
	return blobstore.ErrNotFound
}

// failed judges an error of the file.
func (r *reader) failed(err error) error {
	if isScarce(err) {
		return fmt.Errorf("%w: %w", blobstore.ErrUnavailable, err)
	}
	return r.corrupt(err.Error())
}

// corrupt drops the blob and tells so.
func (r *reader) corrupt(reason string) error {
	r.s.dropCorrupt(r.slot, r.key.String(), reason)
	return fmt.Errorf("%w: %v: %s", blobstore.ErrCorrupt, r.key, reason)
}
