package storetest

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/larder-build/larder/server/blobstore"
)

// bigSize is the size in bytes of the blob that is larger than any buffer.
const bigSize = 40 << 20

func readerClauses() []clause {
	return []clause{
		{"reads from any offset after SeekTo", testSeek},
		{"refuses to seek outside the stored bytes", testSeekOutside},
		{"reads in any step", testOddReads},
		{"reads a big blob", testBig},
		{"ends with io.EOF again and again", func(t *testing.T, s blobstore.Store) {
			c := Content(100, 1)
			mustPut(t, s, identity(CAS(c), c))
			r := open(t, s, CAS(c))
			if _, err := io.ReadAll(r); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if n, err := r.Read(make([]byte, 10)); n != 0 || !errors.Is(err, io.EOF) {
					t.Errorf("Read at the end: %d, %v", n, err)
				}
			}
		}},
		{"may be closed twice", func(t *testing.T, s blobstore.Store) {
			c := Content(100_000, 1)
			mustPut(t, s, identity(CAS(c), c))
			r := open(t, s, CAS(c))
			if _, err := io.ReadFull(r, make([]byte, 10)); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := r.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			}
			wantContent(t, s, CAS(c), c)
		}},
		{"reads one version while it is overwritten", testOverwrittenWhileRead},
		{"tells its sizes before and after reading", func(t *testing.T, s blobstore.Store) {
			c := Content(70_000, 1)
			mustWrite(t, s, identity(CAS(c), c))
			r := open(t, s, CAS(c))
			before := [2]int64{r.Size(), r.StoredSize()}
			if _, err := io.Copy(io.Discard, r); err != nil {
				t.Fatal(err)
			}
			if after := [2]int64{r.Size(), r.StoredSize()}; after != before || before[0] != 70_000 {
				t.Errorf("sizes %v before, %v after", before, after)
			}
		}},
	}
}

// stored returns all stored bytes of a blob.
func stored(t *testing.T, s blobstore.Store, key blobstore.Key) []byte {
	t.Helper()
	r := open(t, s, key)
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func testSeek(t *testing.T, s blobstore.Store) {
	const block = blobstore.ReadBlock
	c := Content(3*block+17, 1)
	mustPut(t, s, identity(CAS(c), c))
	all := stored(t, s, CAS(c))
	r := open(t, s, CAS(c))
	n := len(all)
	// Forth and back, so that nothing depends on the order.
	for _, offset := range []int{0, 1, block - 1, block, block + 1, 2 * block, n - 1, n, 5, n / 2, 0} {
		offset = min(offset, n) // a store may keep fewer bytes than it was given
		if err := r.SeekTo(int64(offset)); err != nil {
			t.Fatalf("SeekTo %d: %v", offset, err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, all[offset:]) {
			t.Errorf("from %d: %d bytes, error %v; want the %d stored there", offset, len(got), err, n-offset)
		}
	}
	part := make([]byte, 100)
	for offset := 0; offset+100 <= n; offset += 9973 {
		if err := r.SeekTo(int64(offset)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, part); err != nil || !bytes.Equal(part, all[offset:offset+100]) {
			t.Errorf("100 bytes at %d are wrong, error %v", offset, err)
		}
	}
}

func testSeekOutside(t *testing.T, s blobstore.Store) {
	c := Content(1000, 1)
	mustPut(t, s, identity(CAS(c), c))
	r := open(t, s, CAS(c))
	for _, offset := range []int64{-1, r.StoredSize() + 1, 1 << 60, -1 << 60} {
		if err := r.SeekTo(offset); err == nil {
			t.Errorf("SeekTo %d of %d stored bytes is no error", offset, r.StoredSize())
		}
	}
}

func testOddReads(t *testing.T, s blobstore.Store) {
	c := Content(70_001, 1)
	mustPut(t, s, identity(CAS(c), c))
	for _, step := range []int{1, 7, 4096, 65_535, 65_536, 65_537, 1 << 20} {
		wantInSteps(t, s, CAS(c), c, step)
	}
}

// wantInSteps reads a blob with buffers of one size and compares it, as it goes
// where it is stored as it is.
func wantInSteps(t *testing.T, s blobstore.Store, key blobstore.Key, want []byte, step int) {
	t.Helper()
	r := open(t, s, key)
	defer r.Close()
	var all []byte
	var read int
	buf := make([]byte, step)
	for {
		n, err := r.Read(buf)
		if r.Encoding() != blobstore.Identity {
			all = append(all, buf[:n]...)
		} else if !bytes.HasPrefix(want[min(read, len(want)):], buf[:n]) {
			t.Fatalf("in steps of %d: wrong content in the %d bytes at %d", step, n, read)
		}
		read += n
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("in steps of %d: %v", step, err)
		}
	}
	if r.Encoding() != blobstore.Identity {
		if !bytes.Equal(decode(t, r, all), want) {
			t.Errorf("in steps of %d: wrong content", step)
		}
	} else if read != len(want) {
		t.Errorf("in steps of %d: %d bytes, want %d", step, read, len(want))
	}
}

func testBig(t *testing.T, s blobstore.Store) {
	c := Content(bigSize, 1)
	key := CAS(c)
	if err := write(t, s, identity(key, c), 1<<20-1); err != nil {
		t.Fatal(err)
	}
	wantInSteps(t, s, key, c, 1_000_003)
	wantInSteps(t, s, key, c, 33_333)
}

func testOverwrittenWhileRead(t *testing.T, s blobstore.Store) {
	key := AC("", "action")
	old, fresh := Content(300_000, 1), Content(300_000, 2)
	mustPut(t, s, identity(key, old))
	r := open(t, s, key)
	first := make([]byte, 1000)
	if _, err := io.ReadFull(r, first); err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, identity(key, fresh))
	rest, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(decode(t, r, slices.Concat(first, rest)), old) {
		t.Error("a reader that was open is not reading what it opened")
	}
	wantContent(t, s, key, fresh)
}
