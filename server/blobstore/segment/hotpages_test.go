package segment

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/larder-build/larder/server/blobstore"
)

func mappedFile(t *testing.T, content []byte) (osFile, *hotPages) {
	t.Helper()
	o, err := os.OpenFile(filepath.Join(t.TempDir(), "f"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	f := osFile{o}
	if _, err := f.WriteAt(content, 0); err != nil {
		t.Fatal(err)
	}
	mem, err := f.mmap(1 << 20) // longer than the file, as the head of the log is mapped
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.munmap(mem); err != nil {
			t.Error(err)
		}
	})
	return f, newHotPages(mem)
}

func TestHotPages(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("0123456789abcde\n"), 8192)
	_, h := mappedFile(t, content)
	got := make([]byte, 5000)
	const minute = 7
	if h.read(got, 100, minute) {
		t.Error("pages that nobody read are hot")
	}
	h.note(100, 5000, minute) // of the first two pages
	tests := []struct {
		offset, n int
		minute    uint32
		want      bool
	}{
		{100, 5000, minute, true},
		{0, 1, minute, true},
		{2*pageSize - 1, 1, minute, true},
		{2*pageSize - 1, 2, minute, false},
		{2 * pageSize, 1, minute, false},
		{100, 5000, minute + 1, false},
		{1<<20 - 1, 2, minute, false}, // past the mapping
	}
	for _, tt := range tests {
		p := make([]byte, tt.n)
		if ok := h.read(p, int64(tt.offset), tt.minute); ok != tt.want {
			t.Errorf("%d bytes at %d in minute %d: %v", tt.n, tt.offset, tt.minute, ok)
		} else if ok && !bytes.Equal(p, content[tt.offset:tt.offset+tt.n]) {
			t.Errorf("%d bytes at %d are wrong", tt.n, tt.offset)
		}
	}
	h.note(3*pageSize, 1, minute+1)
	if h.read(got[:1], 0, minute+1) || !h.read(got[:1], 3*pageSize, minute+1) {
		t.Error("a new minute does not begin with its own pages")
	}
}

// TestHotPagesFault cuts the file off under its mapping: no signal may end the
// process.
func TestHotPagesFault(t *testing.T) {
	t.Parallel()
	f, h := mappedFile(t, make([]byte, 4*pageSize))
	h.note(0, 4*pageSize, 1)
	if err := f.truncate(pageSize); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 100)
	if h.read(p, 2*pageSize, 1) {
		t.Error("a page that is gone was read")
	}
	if !h.read(p, 0, 1) {
		t.Error("a page that is there was not read")
	}
}

// TestHotRecords reads a blob again, so that it comes out of the mapping, and
// then changes a byte on the disk.
func TestHotRecords(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := tryOpen(t, Options{Dir: dir, now: new(clock).now})
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, s)
	blob := blobOf(1500, 1)
	mustPut(t, s, blob)
	wantBlob(t, s, blob)
	seg, offset, h := locate(t, s, blob.Key)
	if hot := seg.hot.Load(); hot == nil || !hot.read(make([]byte, h.recordLen()), offset, s.minute()) {
		t.Fatal("what was read is not hot")
	}
	wantBlob(t, s, blob)
	flip(t, filepath.Join(dir, seg.name()), offset+h.len()+700)
	wantError(t, s, blob.Key, blobstore.ErrCorrupt)
	wantError(t, s, blob.Key, blobstore.ErrNotFound)
	mustPut(t, s, blob)
	wantBlob(t, s, blob)
}
