package digest

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sequence returns the first n bytes of 0, 1, ... period-1, 0, 1, ...
func sequence(n, period int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i % period)
	}
	return b
}

type vector struct {
	n    int
	hash string
}

func readVectors(t *testing.T, name string) (vs []vector) {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var v vector
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		if _, err := fmt.Sscan(lines.Text(), &v.n, &v.hash); err != nil {
			t.Fatalf("%s: %q: %v", name, lines.Text(), err)
		}
		vs = append(vs, v)
	}
	if len(vs) == 0 {
		t.Fatalf("%s has no vectors", name)
	}
	return vs
}

func TestPublishedVectors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		fn     Function
		name   string
		period int
	}{
		{BLAKE3, "blake3.txt", 251},
		{SHA256Tree, "sha256tree.txt", 251},
		{GITSHA1, "gitsha1.txt", 251},
		{VSO, "vso.txt", 256},
	} {
		t.Run(tt.fn.String(), func(t *testing.T) {
			t.Parallel()
			for _, v := range readVectors(t, tt.name) {
				if got := Of(tt.fn, sequence(v.n, tt.period)).Hex(); got != v.hash {
					t.Errorf("%v of %d bytes = %s, want %s", tt.fn, v.n, got, v.hash)
				}
			}
		})
	}
}

// The vectors of FIPS 180 and RFC 1321, and those of BuildXL that are text.
func TestKnownTexts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		fn         Function
		text, want string
	}{
		{SHA256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{SHA256Tree, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{SHA1, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"},
		{MD5, "abc", "900150983cd24fb0d6963f7d28e17f72"},
		{SHA384, "abc", "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7"},
		{SHA512, "abc", "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
		{GITSHA1, "hello", "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0"},
		{VSO, "hi", "c8de9915376dbac9f79ad7888d3c9448be0f17a0511004f3d4a470f9e94b9f2e00"},
		{VSO, "Hello World", "e87891e21cd24671b953bab6a2d6f9c91049c67f9ea0e5015620c3dbc766edc500"},
		{VSO, strings.Repeat("\x00", 5*vsoBlock), "36668b653db0b48d3aa1f2fddcea481b34a310c166b9b041a5b23b59be02e5db00"},
	} {
		if got := Of(tt.fn, []byte(tt.text)).Hex(); got != tt.want {
			t.Errorf("%v of %.20q = %s, want %s", tt.fn, tt.text, got, tt.want)
		}
	}
}

func TestEmpty(t *testing.T) {
	t.Parallel()
	for fn, want := range map[Function]string{
		SHA256:     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		SHA256Tree: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		BLAKE3:     "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
		SHA1:       "da39a3ee5e6b4b0d3255bfef95601890afd80709",
		SHA384:     "38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b",
		SHA512:     "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
		MD5:        "d41d8cd98f00b204e9800998ecf8427e",
		GITSHA1:    "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
		VSO:        "1e57cf2792a900d06c1cdfb3c453f35bc86f72788aa9724c96c929d1cc6b456a00",
	} {
		if got := Empty(fn); got.Hex() != want || got.Size() != 0 || !got.IsEmptyBlob() {
			t.Errorf("Empty(%v) = %v, want %s/0", fn, got, want)
		}
		if Empty(fn).WithSize(1).IsEmptyBlob() {
			t.Errorf("the empty blob's %v hash with size 1 counts as the empty blob", fn)
		}
	}
}

// A running hash must not depend on how the content is cut into writes, and
// Sum must not disturb it.
func TestStreamingEqualsOneShot(t *testing.T) {
	t.Parallel()
	data := sequence(2*vsoBlock+vsoPage+777, 253)
	sizes := []int{0, 1, 63, 64, 1023, 1024, 1025, 2048, 4097, vsoPage, vsoPage + 1, vsoBlock, len(data)}
	for _, fn := range Supported() {
		t.Run(fn.String(), func(t *testing.T) {
			t.Parallel()
			for _, size := range sizes {
				want := Of(fn, data[:size]).Hex()
				for _, chunk := range []int{1, 7, 1024, 1025, 16 << 10, 65537} {
					if chunk == 1 && size > 4097 {
						continue
					}
					if got := hashInChunks(fn, data[:size], chunk); got != want {
						t.Errorf("%d bytes in chunks of %d: %s, want %s", size, chunk, got, want)
					}
				}
			}
		})
	}
}

func hashInChunks(fn Function, data []byte, chunk int) string {
	h := fn.GetHash(int64(len(data)))
	defer fn.PutHash(h)
	for len(data) > 0 {
		n := min(chunk, len(data))
		h.Write(data[:n])
		data = data[n:]
		if chunk >= 1024 {
			h.Sum(nil)
		}
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

func TestHashShape(t *testing.T) {
	t.Parallel()
	for _, fn := range Supported() {
		h := fn.NewHash(3)
		if h.Size() != fn.HashSize() || h.BlockSize() <= 0 {
			t.Errorf("%v: running hash has size %d and block size %d, want size %d", fn, h.Size(), h.BlockSize(), fn.HashSize())
		}
		h.Write([]byte("dropped"))
		h.Reset()
		h.Write([]byte("abc"))
		if got := h.Sum([]byte("prefix")); string(got) != "prefix"+string(hashOf(fn, "abc")) {
			t.Errorf("%v: Sum after Reset = %x", fn, got)
		}
	}
}

func hashOf(fn Function, text string) []byte {
	d := Of(fn, []byte(text))
	return d.Hash()
}

// A pooled hash of one blob must know nothing of the blob before it.
func TestPooledHashIsFresh(t *testing.T) {
	t.Parallel()
	for _, fn := range Supported() {
		for _, text := range []string{"a", "bb", strings.Repeat("c", 3000)} {
			h := fn.GetHash(int64(len(text)))
			h.Write([]byte(text))
			if got := h.Sum(nil); string(got) != string(hashOf(fn, text)) {
				t.Errorf("%v of %.9q from the pool = %x", fn, text, got)
			}
			fn.PutHash(h)
		}
	}
}

func TestOfAllocations(t *testing.T) {
	data := sequence(16<<10, 251)
	for _, fn := range []Function{SHA256, BLAKE3, SHA1, SHA384, SHA512, MD5} {
		if n := testing.AllocsPerRun(20, func() { Of(fn, data) }); n != 0 {
			t.Errorf("Of(%v) makes %v allocations, want none", fn, n)
		}
	}
}

func FuzzStreaming(f *testing.F) {
	f.Add(sequence(5000, 251), uint16(1025))
	f.Fuzz(func(t *testing.T, data []byte, chunk uint16) {
		for _, fn := range Supported() {
			if got, want := hashInChunks(fn, data, int(chunk)+1), Of(fn, data).Hex(); got != want {
				t.Errorf("%v of %d bytes in chunks of %d: %s, want %s", fn, len(data), int(chunk)+1, got, want)
			}
		}
	})
}

func BenchmarkHash(b *testing.B) {
	for _, fn := range Supported() {
		for _, size := range []int{1 << 10, 1 << 20} {
			data := sequence(size, 251)
			b.Run(fmt.Sprintf("%v/%d", fn, size), func(b *testing.B) {
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					Of(fn, data)
				}
			})
		}
	}
}

func BenchmarkPool(b *testing.B) {
	data := sequence(1024, 251)
	var sum [MaxHashSize]byte
	for _, fn := range []Function{SHA256, BLAKE3} {
		b.Run(fn.String()+"/new", func(b *testing.B) {
			for b.Loop() {
				h := fn.NewHash(1024)
				h.Write(data)
				h.Sum(sum[:0])
			}
		})
		b.Run(fn.String()+"/pooled", func(b *testing.B) {
			for b.Loop() {
				h := fn.GetHash(1024)
				h.Write(data)
				h.Sum(sum[:0])
				fn.PutHash(h)
			}
		})
	}
}
