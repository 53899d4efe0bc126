package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/storetest"
)

// The vectors of the SipHash authors, for inputs of whole words.
func TestSipHash(t *testing.T) {
	t.Parallel()
	key := sipKey{0x0706050403020100, 0x0f0e0d0c0b0a0908}
	input := []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	for n, want := range map[int]uint64{0: 0x726fdb47dd0e0e31, 8: 0x93f5f5799a932462, 16: 0x3f2acc7f57c29bdb} {
		if got := key.sum24(appendWords(nil, input[:n])); got != want {
			t.Errorf("hash of %d bytes is %#x, want %#x", n, got, want)
		}
	}
	if got := key.sum13(appendWords(nil, string(input[:8]))); got != key.sum13([]uint64{0x0706050403020100}) || got == key.sum24(appendWords(nil, input[:8])) {
		t.Errorf("short hash is %#x", got)
	}
}

func TestTagTellsKeysApart(t *testing.T) {
	t.Parallel()
	k := sipKey{1, 2}
	c := storetest.Content(10, 1)
	cas, ac := storetest.CAS(c), storetest.AC("", "a")
	ac.Digest = cas.Digest
	named := cas
	named.Instance = "x"
	sized := cas
	sized.Digest = sized.Digest.WithSize(-1)
	if k.tag(&cas) != k.tag(&sized) {
		t.Error("the size changes the tag")
	}
	for _, other := range []blobstore.Key{ac, named, storetest.CAS(c[1:])} {
		if k.tag(&cas) == k.tag(&other) {
			t.Errorf("%v has the tag of %v", other, cas)
		}
	}
	if other := (sipKey{1, 3}); other.tag(&cas) == k.tag(&cas) {
		t.Error("another store has the same tag")
	}
}

var recordKey = sipKey{7, 8}

func sampleHeader() header {
	key := storetest.CAS(storetest.Content(100, 1))
	key.Instance = "main/ünïcode"
	h := headerOf(&blobstore.Spec{Key: key, Size: 100, Encoding: blobstore.Zstd}, 77)
	h.version, h.written, h.minute = 1234567, 1_700_000_000, 4711
	return h
}

func TestHeaderRoundTrip(t *testing.T) {
	t.Parallel()
	tombstone := tombstoneHeader(0xfeed, 99)
	sample := sampleHeader()
	for _, h := range []header{sample, tombstone} {
		b := h.append(nil, recordKey, 4096)
		if int64(len(b)) != h.len() || len(b)%recordAlign != 0 {
			t.Errorf("header has %d bytes, want %d", len(b), h.len())
		}
		got, err := parseHeader(append(b, "more"...), recordKey, 4096)
		if err != nil {
			t.Fatal(err)
		}
		if h.instance == nil {
			h.instance = []byte{}
		}
		if diff := cmp.Diff(h, got, cmp.AllowUnexported(header{})); diff != "" {
			t.Error(diff)
		}
	}
	key, err := sample.key()
	if err != nil || !sample.matches(&key) || sample.logical != key.Digest.Size() {
		t.Errorf("key %v, error %v", key, err)
	}
}

func TestHeaderIsOnlyGoodAsItIs(t *testing.T) {
	t.Parallel()
	h := sampleHeader()
	b := h.append(nil, recordKey, 4096)
	if _, err := parseHeader(b, recordKey, 4104); err == nil {
		t.Error("it is good at another offset")
	}
	if _, err := parseHeader(b, sipKey{7, 9}, 4096); err == nil {
		t.Error("it is good in another segment")
	}
	for n := range b {
		if _, err := parseHeader(b[:n], recordKey, 4096); err == nil {
			t.Errorf("it is good when cut to %d bytes", n)
		}
	}
	for i := range len(b) * 8 {
		bad := bytes.Clone(b)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := parseHeader(bad, recordKey, 4096); err == nil {
			t.Errorf("it is good with bit %d flipped", i)
		}
	}
}

// A header can be authentic and still make no sense to this program.
func TestHeaderCheck(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*header){
		"kind":           func(h *header) { h.kind = 3 },
		"encoding":       func(h *header) { h.encoding = 2 },
		"function":       func(h *header) { h.function = 250 },
		"hash length":    func(h *header) { h.hash = h.hash[1:] },
		"negative size":  func(h *header) { h.logical = -1 },
		"size":           func(h *header) { h.logical = maxLogical + 1 },
		"stored size":    func(h *header) { h.stored = maxStored + 1 },
		"tombstone data": func(h *header) { h.flags, h.hash = flagTombstone, h.hash[:8] },
		"tombstone tag":  func(h *header) { h.flags, h.stored = flagTombstone, 0 },
		"version":        func(h *header) { h.version = maxVersion + 1 },
	} {
		h := sampleHeader()
		change(&h)
		if _, err := parseHeader(h.append(nil, recordKey, 8), recordKey, 8); !errors.Is(err, errBadHeader) {
			t.Errorf("bad %s: error is %v", name, err)
		}
	}
}

func TestCRCTable(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, blobstore.ReadBlock - 1, blobstore.ReadBlock, blobstore.ReadBlock + 1, 3*blobstore.ReadBlock + 5} {
		data := storetest.Content(n, 1)
		want := appendCRCs(nil, data)
		if int64(len(want)) != crcSize*blocksOf(int64(n)) {
			t.Errorf("%d bytes have %d bytes of CRCs", n, len(want))
		}
		for _, step := range []int{999, blobstore.ReadBlock, 1 << 20} {
			var table crcTable
			for at := 0; at < n; at += step {
				table.add(data[at:min(at+step, n)])
			}
			if !bytes.Equal(table.finish(), want) {
				t.Errorf("CRCs of %d bytes in steps of %d differ", n, step)
			}
		}
		if !crcMatches(data, want) {
			t.Errorf("CRCs of %d bytes do not match", n)
		}
		if n > 0 {
			data[n-1] ^= 1
			if crcMatches(data, want) {
				t.Errorf("a flipped bit in the last of %d bytes is not seen", n)
			}
		}
	}
}

func TestEntryRoundTrip(t *testing.T) {
	t.Parallel()
	h := sampleHeader()
	h.version, h.logical, h.minute = maxVersion, maxLogical, maxMinute
	e := entryOf(42, &h, 1<<34)
	type fields struct {
		tag, version    uint64
		offset          int64
		stored, size    int64
		minute          uint32
		tombstone, isAC bool
	}
	got := fields{e.tag(), e.version(), e.offset(), e.stored(), e.size(), e.minute(), e.tombstone(), e.ac()}
	want := fields{42, maxVersion, 1 << 34, 77, maxLogical, maxMinute, false, false}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if m := e.meta(); m.size() != maxLogical || m.minute() != maxMinute || m.touched() || m.ac() {
		t.Errorf("meta is %x", uint64(m))
	}
}

func TestMetaUse(t *testing.T) {
	t.Parallel()
	m := metaOf(blobstore.AC, 5, 100).used(90)
	if m.minute() != 100 || !m.touched() || !m.ac() || m.size() != 5 {
		t.Errorf("used before it was written: %x", uint64(m))
	}
	if m = m.used(101); m.minute() != 101 || m.size() != 5 {
		t.Errorf("used later: %x", uint64(m))
	}
}

func FuzzParseHeader(f *testing.F) {
	h := sampleHeader()
	f.Add(h.append(nil, recordKey, 64), int64(64))
	f.Add([]byte("LRC1"), int64(0))
	f.Fuzz(func(t *testing.T, b []byte, offset int64) {
		if len(b) >= fixedHeader {
			n := min(headerLen(int(b[8]), int(b[9])), int64(len(b)))
			binary.LittleEndian.PutUint64(b[macOffset:], headerCode(b[:max(n, fixedHeader)], recordKey, offset))
		}
		h, err := parseHeader(b, recordKey, offset)
		if err != nil {
			return
		}
		again, err := parseHeader(h.append(nil, recordKey, offset), recordKey, offset)
		if err != nil || !bytes.Equal(again.hash, h.hash) || again.stored != h.stored || h.recordLen() < h.len()+h.stored {
			t.Errorf("%+v became %+v, error %v", h, again, err)
		}
	})
}
