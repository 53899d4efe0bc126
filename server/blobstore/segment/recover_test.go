package segment

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/storetest"
)

// small makes stores of small segments: from 16 KiB a blob has one of its own.
var small = Options{MaxBytes: 64 << 20, SegmentBytes: 64 << 10}

func in(dir string, o Options) Options {
	o.Dir = dir
	return o
}

// What a killed process leaves has all that was acknowledged.
func TestKilled(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{small, {MaxBytes: 64 << 20}} {
		s := openStore(t, o)
		var all []blobstore.Blob
		for i, n := range []int{0, 1, 100, 5000, 16 << 10, 70_000, 1 << 20, 3 << 20} {
			put, streamed := blobOf(n, uint64(i)), blobOf(n+1, uint64(i))
			mustPut(t, s, put)
			stream(t, s, streamed)
			all = append(all, put, streamed)
		}
		mustPut(t, s, resultOf("a", "first"), resultOf("b", "only"))
		mustPut(t, s, resultOf("a", "second"))
		all = append(all, resultOf("a", "second"), resultOf("b", "only"))
		open := mustCreate(t, s, blobOf(2<<20, 99).Spec)
		defer open.Abort()
		if _, err := open.Write(blobOf(2<<20, 99).Data[:1<<20]); err != nil {
			t.Fatal(err)
		}

		s2 := openStore(t, in(crash(t, s.opts.Dir), o))
		for _, b := range all {
			wantBlob(t, s2, b)
		}
		wantError(t, s2, blobOf(2<<20, 99).Key, blobstore.ErrNotFound)
		wantClean(t, s2)
		if got, want := s2.Stats(), s.Stats(); got.Blobs != want.Blobs || got.ActionResults != 2 || got.LogicalBytes != want.LogicalBytes || got.StoredBytes != want.StoredBytes {
			t.Errorf("stats are %+v, want %+v", got, want)
		}
	}
}

func TestCloseAndOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var all []blobstore.Blob
	for round := range 6 {
		s, err := tryOpen(t, in(dir, small))
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range all {
			wantBlob(t, s, b)
		}
		b := blobOf(300*(round+1), uint64(round))
		mustPut(t, s, b)
		all = append(all, b)
		mustClose(t, s)
	}
	// Restarts do not leave a segment each.
	if n := len(segmentFiles(t, dir)); n != 1 {
		t.Errorf("%d segments", n)
	}
}

func TestAnEmptyStoreLeavesNoSegments(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 3 {
		s, err := tryOpen(t, in(dir, small))
		if err != nil {
			t.Fatal(err)
		}
		w := mustCreate(t, s, blobOf(100_000, 1).Spec)
		w.Abort()
		mustClose(t, s)
	}
	if files := segmentFiles(t, dir); len(files) != 0 {
		t.Errorf("segments %v", files)
	}
}

// damaged makes a store of some blobs, kills or closes it, lets do damage its
// only segment, and opens it again.
func damaged(t *testing.T, sealed bool, do func(path string, b []byte) []byte) (*Store, []blobstore.Blob) {
	t.Helper()
	o := Options{Dir: t.TempDir(), MaxBytes: 64 << 20}
	s, err := tryOpen(t, o)
	if err != nil {
		t.Fatal(err)
	}
	blobs := blobsOf(30, 1000)
	mustPut(t, s, blobs...)
	dir := crash(t, o.Dir)
	mustClose(t, s)
	if sealed {
		dir = o.Dir
	}
	path := segmentFiles(t, dir)[0]
	writeAll(t, path, do(path, readAll(t, path)))
	return openStore(t, in(dir, o)), blobs
}

// rewrites checks that a store takes what it lacks and keeps it.
func rewrites(t *testing.T, s *Store, blobs []blobstore.Blob) {
	t.Helper()
	mustPut(t, s, blobs...)
	for _, b := range blobs {
		wantBlob(t, s, b)
	}
	wantClean(t, s)
	s2 := openStore(t, in(crash(t, s.opts.Dir), s.opts.again()))
	for _, b := range blobs {
		wantBlob(t, s2, b)
	}
}

// again returns the options for another store like this.
func (o Options) again() Options {
	o.fsys = nil
	return o
}

func recordOf(i int) int64 {
	b := blobOf(1000, 1)
	return dataStart + int64(i)*recordLen(keyHeaderLen(&b.Key), 1000)
}

// A torn tail is cut at the last whole record, wherever it was torn.
func TestTornTail(t *testing.T) {
	t.Parallel()
	for _, end := range []int64{0, 1, 63, 64, 127, 128, 129, recordOf(1) - 1, recordOf(1), recordOf(1) + 3, recordOf(1) + 60, recordOf(2) - 5, recordOf(29) + 500, recordOf(30) - 1, recordOf(30)} {
		t.Run(fmt.Sprint(end), func(t *testing.T) {
			t.Parallel()
			s, blobs := damaged(t, false, func(_ string, b []byte) []byte { return b[:end] })
			for i, b := range blobs {
				if recordOf(i+1) <= end {
					wantBlob(t, s, b)
				} else {
					wantError(t, s, b.Key, blobstore.ErrNotFound)
				}
			}
			rewrites(t, s, blobs)
		})
	}
}

func TestGarbageAtTheEnd(t *testing.T) {
	t.Parallel()
	for _, sealed := range []bool{false, true} {
		for name, garbage := range map[string][]byte{
			"zeros":  make([]byte, 100_000),
			"noise":  storetest.Content(100_001, 5),
			"magic":  bytes.Repeat([]byte("LRC1"), 20_000),
			"a byte": {1},
		} {
			t.Run(fmt.Sprint(sealed, name), func(t *testing.T) {
				t.Parallel()
				s, blobs := damaged(t, sealed, func(_ string, b []byte) []byte { return append(b, garbage...) })
				for _, b := range blobs {
					wantBlob(t, s, b)
				}
				rewrites(t, s, blobs)
			})
		}
	}
}

// A flipped bit costs at most the record it is in, and is never given out.
func TestFlippedBits(t *testing.T) {
	t.Parallel()
	b := blobOf(1000, 1)
	head := keyHeaderLen(&b.Key)
	end := recordOf(30)
	for name, c := range map[string]struct {
		offset int64
		victim int // the record that may be lost; -1 for none
	}{
		"segment header":       {30, -1},
		"segment header copy":  {segmentHeader + 30, -1},
		"record magic":         {recordOf(3), 3},
		"record header":        {recordOf(3) + 20, 3},
		"instance length":      {recordOf(3) + 9, 3},
		"hash":                 {recordOf(3) + fixedHeader + 5, 3},
		"code":                 {recordOf(3) + macOffset, 3},
		"first byte":           {recordOf(3) + head, 3},
		"last byte":            {recordOf(3) + head + 999, 3},
		"checksum":             {recordOf(3) + head + 1000, 3},
		"last record's header": {recordOf(29) + 20, 29},
		"footer entry":         {end + 40, -1},
		"trailer":              {end + 30*entrySize + 20, -1},
		"trailer's checksum":   {end + 30*entrySize + trailerLen - 1, -1},
	} {
		for _, sealed := range []bool{false, true} {
			if !sealed && c.offset >= end {
				continue
			}
			t.Run(fmt.Sprint(name, sealed), func(t *testing.T) {
				t.Parallel()
				s, blobs := damaged(t, sealed, func(_ string, b []byte) []byte { b[c.offset] ^= 0x10; return b })
				for i, b := range blobs {
					got, err := read(t, s, b.Key)
					switch {
					case err == nil && !bytes.Equal(got, b.Data):
						t.Fatalf("wrong bytes of record %d", i)
					case i != c.victim && err != nil:
						t.Errorf("record %d: %v", i, err)
					case i == c.victim && err == nil:
						t.Error("damage not seen")
					case i == c.victim && sealed && !errors.Is(err, blobstore.ErrCorrupt):
						t.Errorf("record %d: error is %v, want %v", i, err, blobstore.ErrCorrupt)
					case i == c.victim && !sealed && !errors.Is(err, blobstore.ErrNotFound):
						t.Errorf("record %d: error is %v, want %v", i, err, blobstore.ErrNotFound)
					}
				}
				if c.victim >= 0 {
					wantError(t, s, blobs[c.victim].Key, blobstore.ErrNotFound)
				}
				rewrites(t, s, blobs)
			})
		}
	}
}

// With both copies of its header gone, a segment's records cannot be told from
// anything else. It is kept for whoever wants to look at it.
func TestSegmentHeaderGone(t *testing.T) {
	t.Parallel()
	s, blobs := damaged(t, false, func(_ string, b []byte) []byte { b[3]++; b[segmentHeader+3]++; return b })
	for _, b := range blobs {
		wantError(t, s, b.Key, blobstore.ErrNotFound)
	}
	if _, err := os.Stat(filepath.Join(s.opts.Dir, "00000001.seg.bad")); err != nil {
		t.Error(err)
	}
	rewrites(t, s, blobs)
	// In a sealed one the footer has another copy.
	s, blobs = damaged(t, true, func(_ string, b []byte) []byte { b[3]++; b[segmentHeader+3]++; return b })
	for _, b := range blobs {
		wantBlob(t, s, b)
	}
}

// A blob that contains a record, valid in this very segment, is a blob.
func TestForgedRecord(t *testing.T) {
	t.Parallel()
	s := openStore(t, Options{MaxBytes: 64 << 20})
	inner := resultOf("forged", "evil")
	mustPut(t, s, inner)
	seg, offset, h := locate(t, s, inner.Key)
	raw := make([]byte, h.recordLen())
	if _, err := seg.f.ReadAt(raw, offset); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(t.Context(), inner.Key); err != nil {
		t.Fatal(err)
	}
	// In an upload that is never finished, so that the scan goes through it.
	outer := bytes.Repeat(raw, 1000)
	spec := blobstore.Spec{Key: storetest.CAS(outer), Size: int64(len(outer))}
	w := mustCreate(t, s, spec)
	defer w.Abort()
	if _, err := w.Write(outer[:len(outer)-1]); err != nil {
		t.Fatal(err)
	}
	after := blobOf(10, 1)
	mustPut(t, s, after)

	s2 := openStore(t, in(crash(t, s.opts.Dir), s.opts.again()))
	wantError(t, s2, inner.Key, blobstore.ErrNotFound)
	wantBlob(t, s2, after)
	if st := s2.Stats(); st.Blobs != 1 || st.ActionResults != 0 {
		t.Errorf("stats are %+v", st)
	}
}

func TestTombstonesLast(t *testing.T) {
	t.Parallel()
	s := openStore(t, small)
	gone, kept := blobsOf(8, 3000), resultOf("kept", "new")
	big := blobOf(200_000, 50)
	mustPut(t, s, gone...)
	mustPut(t, s, resultOf("kept", "old"), resultOf("gone", "x"), big)
	for _, b := range append(gone, resultOf("gone", "x"), resultOf("kept", "old"), big) {
		if err := s.Remove(t.Context(), b.Key); err != nil {
			t.Fatal(err)
		}
		wantError(t, s, b.Key, blobstore.ErrNotFound)
	}
	mustPut(t, s, gone[3], kept) // written again after they were removed
	dir := s.opts.Dir
	for range 3 {
		dir = crash(t, dir)
		s2, err := tryOpen(t, in(dir, small))
		if err != nil {
			t.Fatal(err)
		}
		for i, b := range append(gone, resultOf("gone", "x"), big) {
			if i == 3 {
				wantBlob(t, s2, b)
			} else {
				wantError(t, s2, b.Key, blobstore.ErrNotFound)
			}
		}
		wantBlob(t, s2, kept)
		mustClose(t, s2)
	}
}

// A corrupt blob stays dropped after a restart, also if its bytes heal.
func TestCorruptStaysDropped(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1000, 150_000} { // in a shared segment, and in its own
		s := openStore(t, Options{MaxBytes: 64 << 20, SegmentBytes: 256 << 10})
		b := blobOf(n, 1)
		mustPut(t, s, b)
		seg, offset, h := locate(t, s, b.Key)
		at := offset + h.len() + int64(n) - 1
		var last [1]byte
		if _, err := seg.f.ReadAt(last[:], at); err != nil {
			t.Fatal(err)
		}
		if _, err := seg.f.WriteAt([]byte{last[0] ^ 1}, at); err != nil {
			t.Fatal(err)
		}
		healed := crash(t, s.opts.Dir)
		wantError(t, s, b.Key, blobstore.ErrCorrupt)
		wantError(t, s, b.Key, blobstore.ErrNotFound)
		if got := s.Stats().CorruptBlobs; got != 1 {
			t.Errorf("%d corrupt blobs", got)
		}
		s2 := openStore(t, in(crash(t, s.opts.Dir), s.opts.again()))
		wantError(t, s2, b.Key, blobstore.ErrNotFound)
		mustPut(t, s, b)
		wantBlob(t, s, b)
		// The scan of an unsealed segment checks data, too. One of a large blob may
		// have been sealed by then, and is believed until it is read.
		if _, err := read(t, openStore(t, in(healed, s.opts.again())), b.Key); !errors.Is(err, blobstore.ErrNotFound) && (!seg.single || !errors.Is(err, blobstore.ErrCorrupt)) {
			t.Errorf("after a restart: %v", err)
		}
	}
}

// An upload that takes long is committed with a record that lies before a
// newer one of its key. The newer version decides, in every order of events.
func TestLongUploadOfAResult(t *testing.T) {
	t.Parallel()
	s := openStore(t, Options{MaxBytes: 64 << 20})
	long := blobstore.Blob{Spec: blobstore.Spec{Key: storetest.AC("", "r"), Size: 100_000}, Data: storetest.Content(100_000, 1)}
	w := mustCreate(t, s, long.Spec)
	if _, err := w.Write(long.Data); err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, resultOf("r", "short and earlier"))
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	wantBlob(t, s, long)
	dir := crash(t, s.opts.Dir)
	wantBlob(t, openStore(t, in(dir, s.opts.again())), long)
	// The loser lies behind the winner; a tombstone lies behind both.
	tombstones := 0
	entries, _ := s.head.cur.unsealed()
	for i := range entries {
		if entries[i].tombstone() {
			tombstones++
		}
	}
	if tombstones != 1 {
		t.Errorf("%d tombstones", tombstones)
	}
}

func TestSegmentsOfOthersAreLeftAlone(t *testing.T) {
	t.Parallel()
	other := openStore(t, small)
	mustPut(t, other, blobOf(100, 1))
	foreign := readAll(t, segmentFiles(t, other.opts.Dir)[0])

	dir := t.TempDir()
	s, err := tryOpen(t, in(dir, small))
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, blobOf(100, 2))
	mustClose(t, s)
	writeAll(t, filepath.Join(dir, "00000099.seg"), foreign)
	writeAll(t, filepath.Join(dir, "notes.txt"), []byte("mine"))
	s = openStore(t, in(dir, small))
	wantBlob(t, s, blobOf(100, 2))
	wantError(t, s, blobOf(100, 1).Key, blobstore.ErrNotFound)
	for name, want := range map[string][]byte{"00000099.seg": foreign, "notes.txt": []byte("mine")} {
		if !bytes.Equal(readAll(t, filepath.Join(dir, name)), want) {
			t.Errorf("%s was changed", name)
		}
	}
	mustPut(t, s, blobsOf(100, 5000)...) // does not run into the foreign number
	if _, err := os.Stat(filepath.Join(dir, "0000009a.seg")); errors.Is(err, fs.ErrNotExist) {
		t.Error("numbers do not go on after the foreign segment")
	}
}

// A file that was cut off tells of the record that it has lost.
func TestCutOffFileIsToldOf(t *testing.T) {
	t.Parallel()
	s, blobs := damaged(t, true, func(_ string, b []byte) []byte { return b[:recordOf(20)+500] })
	wantBlob(t, s, blobs[19])
	wantError(t, s, blobs[20].Key, blobstore.ErrNotFound)
	if n := s.Stats().CorruptBlobs; n != 1 {
		t.Errorf("%d corrupt blobs counted, want 1", n)
	}
	if r, err := s.Scrub(t.Context()); err != nil || r.LostRecords != 1 || r.LostSegments != 0 || r.Records != 20 {
		t.Errorf("scrub reports %+v, error %v", r, err)
	}
	rewrites(t, s, blobs)
}

// A segment that is lost as a whole is told of as well.
func TestLostSegmentIsToldOf(t *testing.T) {
	t.Parallel()
	s, _ := damaged(t, true, func(_ string, b []byte) []byte { return bytes.Repeat([]byte("x"), len(b)) })
	if r, err := s.Scrub(t.Context()); err != nil || r.LostSegments != 1 || r.Records != 0 {
		t.Errorf("scrub reports %+v, error %v", r, err)
	}
}
