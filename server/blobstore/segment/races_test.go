package segment

import (
	"testing"

	"github.com/larder-build/larder/server/blobstore"
)

// The moments of these tests last microseconds in life; here they are made.

func tombstonesOf(s *Store) (n int) {
	for _, seg := range s.segs.all() {
		entries, _ := seg.unsealed()
		for i := range entries {
			if entries[i].tombstone() {
				n++
			}
		}
	}
	return n
}

// A result is overwritten, or removed, while its record is being carried over:
// the copy, which lies behind what makes it dead, must not outlive that.
func TestOverwrittenWhileCarried(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Store){
		"overwritten": func(s *Store) { mustPut(t, s, resultOf("r", "new")) },
		"removed": func(s *Store) {
			if err := s.Remove(t.Context(), resultOf("r", "").Key); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, small)
			mustPut(t, s, resultOf("r", "old"))
			seg, _, _ := locate(t, s, resultOf("r", "").Key)
			entries, _ := seg.unsealed()
			c := carrier{v: &victim{s: s, seg: seg, inOrder: true}, buf: make([]byte, carryBytes)}
			if err := c.copy(&entries[0]); err != nil {
				t.Fatal(err)
			}
			change(s)
			before := tombstonesOf(s)
			if err := c.flush(); err != nil {
				t.Fatal(err)
			}
			if got := tombstonesOf(s) - before; got != 1 {
				t.Errorf("%d tombstones for the copy", got)
			}
			for _, st := range []*Store{s, openStore(t, in(crash(t, s.opts.Dir), small))} {
				if name == "removed" {
					wantError(t, st, resultOf("r", "").Key, blobstore.ErrNotFound)
				} else {
					wantBlob(t, st, resultOf("r", "new"))
				}
			}
		})
	}
}

// The crash comes before the copy's tombstone: the next start writes it.
func TestCrashWhileCarrying(t *testing.T) {
	t.Parallel()
	s := openStore(t, small)
	mustPut(t, s, resultOf("r", "old"))
	_, _, old := locate(t, s, resultOf("r", "").Key)
	mustPut(t, s, resultOf("r", "new"))
	// What a copy of the old record would be like.
	h := old
	p, _, err := s.tryReserve(h.recordLen(), 1, s.carryLimit)
	if err != nil {
		t.Fatal(err)
	}
	b := append(h.append(nil, p.seg.mac, p.offset), "old"...)
	b = append(appendCRCs(b, []byte("old")), make([]byte, recordAlign)...)[:h.recordLen()]
	if _, err := p.seg.f.WriteAt(b, p.offset); err != nil {
		t.Fatal(err)
	}
	s.unpin(p, p.length)
	s2 := openStore(t, in(crash(t, s.opts.Dir), small))
	wantBlob(t, s2, resultOf("r", "new"))
	if got := tombstonesOf(s2); got != 1 {
		t.Errorf("%d tombstones", got)
	}
}

func TestWhichRecordCounts(t *testing.T) {
	t.Parallel()
	entry := func(version uint64, tombstone bool, segment uint32) loadEntry {
		h := header{version: version, kind: byte(blobstore.AC)}
		if tombstone {
			h.flags = flagTombstone
		}
		return loadEntry{entryOf(1, &h, 128), segment}
	}
	for name, c := range map[string]struct{ winner, loser loadEntry }{
		"version":                  {entry(2, false, 1), entry(1, false, 9)},
		"copy":                     {entry(1, false, 2), entry(1, false, 1)},
		"tombstone":                {entry(2, true, 1), entry(1, false, 9)},
		"written again":            {entry(3, false, 1), entry(2, true, 9)},
		"tombstone of its version": {entry(2, true, 1), entry(2, false, 9)},
	} {
		if !c.winner.newer(&c.loser) || c.loser.newer(&c.winner) {
			t.Errorf("%s does not decide", name)
		}
	}
}

// Two keys of one tag are so rare that one of them may be forgotten; but the
// other's content must not be given out, and it must be possible to write.
func TestTagCollision(t *testing.T) {
	t.Parallel()
	s := openStore(t, small)
	a, b := blobOf(100, 1), blobOf(100, 2)
	mustPut(t, s, a)
	tagA, tagB := s.ident.key.tag(&a.Key), s.ident.key.tag(&b.Key)
	sl, _ := s.index.get(tagA)
	s.index.put(slot{tagB, sl.loc, sl.meta}, false)
	mustPut(t, s, b) // is taken for present
	wantError(t, s, b.Key, blobstore.ErrNotFound)
	mustPut(t, s, b)
	wantBlob(t, s, b)
	// The same with a key whose header is longer than what is read.
	named := a
	named.Key.Instance = "an/instance/name/that/is/long"
	s.index.put(slot{s.ident.key.tag(&named.Key), sl.loc, sl.meta}, false)
	wantError(t, s, named.Key, blobstore.ErrNotFound)
	if got := s.Stats().CorruptBlobs; got != 0 {
		t.Errorf("%d corrupt blobs", got)
	}
}

// Room at the end of the log that was not used is simply taken again.
func TestRoomAtTheEnd(t *testing.T) {
	t.Parallel()
	s := openStore(t, Options{MaxBytes: 64 << 20, SegmentBytes: 1 << 20})
	for range 100 {
		w := mustCreate(t, s, blobOf(100_000, 1).Spec)
		w.Abort()
	}
	if got := len(s.segs.all()); got != 1 {
		t.Errorf("%d segments", got)
	}
}

// A killed process has left two segments of one large blob, or one of a blob
// that was removed: the room is not lost.
func TestDeadSinglesAreRemoved(t *testing.T) {
	t.Parallel()
	s := openStore(t, small)
	b := blobOf(200_000, 1)
	mustPut(t, s, b)
	seg, _, _ := locate(t, s, b.Key)
	path := osFiles{s.opts.Dir}.path(seg.name())
	await(t, "sealing", func() bool { return !s.isSealing() })
	single := readAll(t, path)
	if err := s.Remove(t.Context(), b.Key); err != nil {
		t.Fatal(err)
	}
	dir := crash(t, s.opts.Dir)
	writeAll(t, osFiles{dir}.path(seg.name()), single) // as if it had not been removed yet
	s2 := openStore(t, in(dir, small))
	wantError(t, s2, b.Key, blobstore.ErrNotFound)
	for _, path := range segmentFiles(t, dir) {
		if len(readAll(t, path)) >= 200_000 {
			t.Errorf("%s is still there", path)
		}
	}
	if got := s2.Stats().DiskBytes; got > 100_000 {
		t.Errorf("%d bytes on disk", got)
	}
}
